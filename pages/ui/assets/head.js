// The top of a run: what it is, how it stands, the rail of its steps, and the sentence of the moment.
export default mount({
  build(me) {
    const { page } = me;
    me.pill = el("span");
    me.liveText = el("span");
    me.live = el("span", "live", el("i"), me.liveText);
    me.told = el("span", "sr");
    me.told.setAttribute("role", "status");
    const title = el("h1", "", page.title);
    me.root.append(el("div", "hd", title, me.pill, me.live, me.told));
    const meta = el("dl");
    for (const [label, text, kind] of page.meta) {
      const value = el("dd");
      if (kind === "elapsed") me.elapsed = value;
      else if (kind === "time") { value.append(utcDay(Number(text))); value.title = `${local(Number(text))} (your time)`; }
      else if (kind.startsWith("look:")) {
        const [, tone, shape, word] = kind.split(":");
        value.className = "health";
        value.append(pill({ tone, shape, word }, word, true), el("span", "", text));
      } else if (kind) value.append(digestChip(text, kind, me.told));
      else value.append(text);
      meta.append(el("div", "", el("dt", "", label), value));
    }
    me.root.append(meta);
    me.rail = new Map();
    const rail = el("ol", "rail");
    rail.setAttribute("aria-label", "Steps of the run");
    for (const step of me.snap.steps) {
      const bar = el("i"), seg = el("div", "seg", bar), took = el("span", "mut"), hidden = el("span", "sr");
      const cap = el("div", "cap", el("b", "", page.short[step.id] ?? step.id), took);
      const item = el("li", "", seg, cap, hidden);
      rail.append(item);
      me.rail.set(step.id, { item, seg, bar, took, cap, hidden });
    }
    me.root.append(rail);
    me.sentence = el("p");
    me.box = el("div", "now");
    me.box.setAttribute("role", "status");
    me.root.append(me.box);
  },
  paint(me) {
    const { snap, page } = me, look = page.words.run[snap.status];
    if (me.status !== snap.status + snap.at) {
      me.status = snap.status + snap.at;
      me.pill.replaceChildren(pill(look, snap.at ? `${look.word} (${snap.at})` : look.word));
    }
    for (const step of snap.steps) {
      const row = me.rail.get(step.id);
      if (!row) continue;
      const is = stepLook(me, step), open = ["RUNNING", "WAITING"].includes(step.st);
      const done = !open && !["PENDING", "SKIPPED"].includes(step.st);
      row.seg.className = `seg t-${is.tone}${done ? " done" : open ? " open" : ""}${is.shape === "play" ? " moving" : ""}`;
      row.bar.style.width = open ? `${Math.max(8, 100 * (step.id === snap.stage?.id ? snap.stage.done : .3))}%` : "";
      row.cap.className = done || open ? "cap" : "cap idle";
      row.item.title = `${step.name}: ${is.word}`;
      say(row.hidden, `${step.name}: ${is.word}`);
    }
    const [tone, shape, head, text] = [snap.now.tone, snap.now.shape, snap.now.head, snap.now.text];
    const said = tone + shape + head + text;
    if (me.said !== said) {
      me.said = said;
      me.box.className = `now t-${tone}`;
      me.box.replaceChildren(icon(shape), el("p", "", el("b", "", head), text ? ` ${text}` : ""));
    }
    this.tick(me);
    this.connected(me);
  },
  tick(me) {
    const { snap } = me, now = me.now();
    if (me.elapsed) say(me.elapsed, snap.from ? span((snap.to || now) - snap.from) : "not started");
    for (const step of snap.steps) {
      const row = me.rail.get(step.id);
      if (row) say(row.took, step.a ? span((step.b || now) - step.a) : "");
    }
  },
  connected(me) {
    me.live.className = me.snap.end ? "live still" : me.connected ? "live" : "live off";
    say(me.liveText, me.snap.end ? "Ended" : me.connected ? "Live" : "Reconnecting …");
  },
});
function utcDay(ms) {
  const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"], d = new Date(ms);
  return `${months[d.getUTCMonth()]} ${d.getUTCDate()}, ${utc(ms)} UTC`;
}
