// Shared by every live component: drawing by textContent only, one event stream per address and tab.
const SVG = "http://www.w3.org/2000/svg";
const stroke = (d, width = 1.9) => ["path", { d, fill: "none", stroke: "var(--on)", "stroke-width": width, "stroke-linecap": "round", "stroke-linejoin": "round" }];
const disc = ["circle", { cx: 10, cy: 10, r: 8.2, fill: "var(--c)" }];
const circle = ["circle", { cx: 10, cy: 10, r: 7.4, fill: "none", stroke: "var(--c)", "stroke-width": 1.8 }];
const line = (d, width = 1.9) => ["path", { d, fill: "none", stroke: "var(--c)", "stroke-width": width, "stroke-linecap": "round", "stroke-linejoin": "round" }];
const SHAPES = {
  check: [disc, stroke("M6.2 10.3l2.6 2.6 5-5.4")],
  warn: [["path", { d: "M10 2.2l8.2 14.6H1.8z", fill: "var(--c)", stroke: "var(--c)", "stroke-width": 1.6, "stroke-linejoin": "round" }], stroke("M10 7.6v4M10 14.2v.2")],
  play: [["circle", { cx: 10, cy: 10, r: 7.4, fill: "none", stroke: "var(--c)", "stroke-opacity": .26, "stroke-width": 2.2 }],
    ["path", { class: "spin", d: "M10 2.6a7.4 7.4 0 0 1 7.4 7.4", fill: "none", stroke: "var(--c)", "stroke-width": 2.2, "stroke-linecap": "round" }],
    ["path", { d: "M8.4 7.1l4.5 2.9-4.5 2.9z", fill: "var(--c)" }]],
  pause: [circle, line("M8 7.2v5.6M12 7.2v5.6", 2)],
  clock: [circle, line("M10 5.8V10l2.8 1.8", 1.8)],
  person: [circle, ["circle", { cx: 10, cy: 8.2, r: 2.2, fill: "var(--c)" }], line("M6.4 13.8c.8-1.7 2-2.5 3.6-2.5s2.8.8 3.6 2.5", 1.7)],
  cross: [["path", { d: "M6.6 1.9h6.8l4.7 4.7v6.8l-4.7 4.7H6.6l-4.7-4.7V6.6z", fill: "var(--c)" }], stroke("M7.3 7.3l5.4 5.4M12.7 7.3l-5.4 5.4")],
  block: [["circle", { cx: 10, cy: 10, r: 7.6, fill: "none", stroke: "var(--c)", "stroke-width": 2 }], line("M5 5l10 10", 2)],
  bang: [disc, stroke("M10 5.6v5.2M10 14v.2", 2.1)],
  question: [circle, line("M7.9 8.1c.2-1.2 1-1.8 2.1-1.8s2.1.7 2.1 1.8c0 1.5-2.1 1.5-2.1 3.1M10 13.8v.1", 1.7)],
  ring: [["circle", { cx: 10, cy: 10, r: 7.2, fill: "none", stroke: "var(--c)", "stroke-width": 1.5, "stroke-dasharray": "2.6 2.6" }]],
  dash: [["circle", { cx: 10, cy: 10, r: 7.2, fill: "none", stroke: "var(--c)", "stroke-width": 1.5 }], line("M7 10h6", 1.8)],
  stop: [circle, line("M7.4 7.4l5.2 5.2M12.6 7.4l-5.2 5.2", 1.7)],
  undo: [circle, line("M7.2 9.4h4.1a2 2 0 0 1 0 4H9.6M9 7.2L6.8 9.4 9 11.6", 1.6)],
  seal: [line("M10 2.2l6.6 2.4v5.1c0 4.1-2.7 7-6.6 8.4-3.9-1.4-6.6-4.3-6.6-8.4V4.6z", 1.7), line("M7 10l2.2 2.2L13.2 8", 1.8)],
  shield: [line("M10 2.2l6.6 2.4v5.1c0 4.1-2.7 7-6.6 8.4-3.9-1.4-6.6-4.3-6.6-8.4V4.6z", 1.7), line("M7 10l2.2 2.2L13.2 8", 1.8)],
  next: [line("M4 10h11M10.6 5.4L15.2 10l-4.6 4.6", 1.8)],
  copy: [["rect", { x: 6.5, y: 6.5, width: 10, height: 10, rx: 2, fill: "none", stroke: "currentColor", "stroke-width": 1.6 }], ["path", { d: "M3.8 13V5c0-.7.5-1.2 1.2-1.2h8", fill: "none", stroke: "currentColor", "stroke-width": 1.6, "stroke-linecap": "round" }]],
};
function icon(shape, tone) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 20 20");
  svg.setAttribute("aria-hidden", "true");
  if (tone) svg.setAttribute("class", "t-" + tone);
  svg.style.setProperty("--on", "var(--st-background-color)");
  for (const [name, attributes] of SHAPES[shape] ?? SHAPES.question) {
    const part = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) part.setAttribute(key, value);
    svg.append(part);
  }
  return svg;
}
function el(tag, cls, ...children) {
  const node = document.createElement(tag);
  if (cls) node.className = cls;
  node.append(...children.filter((c) => c !== null && c !== undefined && c !== ""));
  return node;
}
function say(node, text) { if (node.textContent !== text) node.textContent = text; }
function pill(look, text, small) {
  return el("span", `pill t-${look.tone}${small ? " small" : ""}`, icon(look.shape), text ?? look.word);
}
function digestChip(text, whole, told) {
  const button = el("button", "copy", icon("copy"));
  button.type = "button";
  button.title = "Copy the whole digest";
  button.setAttribute("aria-label", `Copy digest ${whole}`);
  button.onclick = () => {
    const done = () => { button.title = "Copied"; say(told, "Digest copied"); };
    navigator.clipboard?.writeText(whole).then(done, () => say(told, whole));
  };
  const chip = el("span", "digest mono", text, button);
  chip.title = whole;
  return chip;
}
const two = (n) => String(n).padStart(2, "0");
const utc = (ms) => { const d = new Date(ms); return `${two(d.getUTCHours())}:${two(d.getUTCMinutes())}:${two(d.getUTCSeconds())}`; };
const local = (ms) => new Date(ms).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "long" });
function span(ms) {
  let s = Math.max(0, Math.floor(ms / 1000));
  if (s < 1 && ms > 0) return `${Math.floor(ms)} ms`;
  const d = Math.floor(s / 86400), h = Math.floor(s / 3600) % 24, m = Math.floor(s / 60) % 60; s %= 60;
  if (d) return `${d} d ${h} h`;
  if (h) return `${h} h ${two(m)} m`;
  return m ? `${m} m ${two(s)} s` : `${s} s`;
}
// A policy verdict with warnings and a paused stage look different from their bare step status.
function stepLook(me, step) {
  const words = me.page.words.step;
  if (step.st === "SUCCEEDED" && step.w) return words.WARNED;
  if (step.st === "RUNNING" && me.snap.status === "PAUSED") return words.PAUSED;
  return words[step.st];
}
const buses = (window.releaselineStreams ??= new Map());
function follow(url, listener) {
  let bus = buses.get(url);
  if (!bus) {
    bus = { listeners: new Set(), source: new EventSource(url), last: null };
    buses.set(url, bus);
    bus.source.addEventListener("snapshot", (event) => {
      bus.last = JSON.parse(event.data);
      for (const one of bus.listeners) one(bus.last, true);
    });
    bus.source.addEventListener("signed_out", () => { bus.source.close(); location.assign("/signed-out"); });
    bus.source.onerror = () => { for (const one of bus.listeners) one(null, false); };
    bus.source.onopen = () => { for (const one of bus.listeners) one(bus.last, true); };
  }
  bus.listeners.add(listener);
  if (bus.last) listener(bus.last, true);
  return () => {
    bus.listeners.delete(listener);
    if (!bus.listeners.size) { bus.source.close(); buses.delete(url); }
  };
}
// A part draws itself: build(me) makes its nodes once, paint(me) fills them, tick(me) runs each second.
function mount(part) {
  const mounted = new WeakMap();
  return ({ data, parentElement, setTriggerValue }) => {
    const root = parentElement.querySelector(".rl");
    if (!root) return undefined;
    let me = mounted.get(parentElement);
    if (!me) {
      me = { root, fired: "", connected: true };
      mounted.set(parentElement, me);
      if (part.tick) me.timer = setInterval(() => me.snap && part.tick(me), 1000);
    }
    me.fire = setTriggerValue;
    me.page = data;
    me.skew = data.now_ms - Date.now();
    me.now = () => Date.now() + me.skew;
    if (!me.snap || data.live.run !== me.snap.run || data.live.seq >= me.snap.seq) me.snap = data.live;
    if (me.shape !== data.shape) { me.shape = data.shape; root.replaceChildren(); part.build(me); }
    part.paint(me);
    const wanted = data.live.end ? "" : data.stream ?? "";
    if (me.url !== wanted) {
      me.leave?.();
      me.url = wanted;
      me.leave = wanted ? follow(wanted, (snap, connected) => {
        if (me.connected !== connected) { me.connected = connected; part.connected?.(me); }
        if (!snap || snap.seq < me.snap.seq) return;
        me.snap = snap;
        part.paint(me);
        if (me.page.leads && snap.sig !== me.page.live.sig && snap.sig !== me.fired) {
          me.fired = snap.sig;
          me.fire("changed", snap.sig);
        }
      }) : undefined;
    }
    return () => { clearInterval(me.timer); me.leave?.(); mounted.delete(parentElement); root.replaceChildren(); };
  };
}
