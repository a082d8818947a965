// The proof chain: one row per item in the order of the chain; beside them who signed (a lane each),
// the link to the item before (the thick line) and what a statement rests on (the thin ones).
function svgPart(name, attributes) {
  const part = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) part.setAttribute(key, value);
  return part;
}
function drawing(me) {
  const { width, rows, edges, spine } = me.page.graph;
  const svg = svgPart("svg", { class: "wires", viewBox: `0 0 ${width} ${rows}`, preserveAspectRatio: "none", "aria-hidden": "true" });
  svg.style.width = `${width}px`;
  me.edges = edges.map((edge) => {
    const path = svgPart("path", { d: edge.d, class: "edge", "vector-effect": "non-scaling-stroke" });
    svg.append(path);
    return { path, from: edge.from, to: edge.to };
  });
  for (const link of spine) svg.append(svgPart("path", { d: link.d, class: link.broken ? "spine broken" : "spine", "vector-effect": "non-scaling-stroke" }));
  return svg;
}
function light(me, at) {
  for (const { path, from, to } of me.edges) path.classList.toggle("on", at !== null && (from === at || to === at));
  const near = new Set(at === null ? [] : me.edges.filter((e) => e.from === at || e.to === at).flatMap((e) => [e.from, e.to]));
  me.lines.forEach((line, number) => line.classList.toggle("near", near.has(number)));
}
export default mount({
  build(me) {
    const { width } = me.page.graph;
    me.told = el("span", "sr");
    me.told.setAttribute("role", "status");
    const list = el("ol", "chain");
    list.setAttribute("aria-label", me.page.caption);
    list.style.setProperty("--wires", `${width}px`);
    me.lines = me.page.rows.map((row, at) => {
      const node = el("span", `node t-${row.tone}`, icon(row.shape, row.tone));
      node.style.left = `${row.x}px`;
      node.setAttribute("aria-hidden", "true");
      const link = el("a", "name", row.title);
      link.href = row.href;
      link.onclick = (event) => {
        if (event.metaKey || event.ctrlKey || event.shiftKey || event.button) return;
        event.preventDefault();
        me.fire("open", row.key);
      };
      link.onkeydown = (event) => {
        const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
        if (!step) return;
        event.preventDefault();
        const all = [...list.querySelectorAll("a.name")];
        all[(all.indexOf(link) + step + all.length) % all.length].focus();
      };
      const line = el("li", row.trouble ? "row bad" : row.seal ? "row last" : "row", node,
        el("span", "place mono", row.place),
        el("div", "what", el("div", "", link, el("span", "mono file", row.file)), el("div", "under", row.trouble || row.rests)),
        el("div", "who", el("span", `word t-${row.tone}`, row.who), el("span", "under", row.role)),
        el("div", "log", el("span", "mono", row.log), el("span", "under", row.when)),
        el("div", "dig", row.digest ? digestChip(row.short, row.digest, me.told) : null));
      line.onmouseenter = () => light(me, at);
      line.onmouseleave = () => light(me, null);
      link.onfocus = () => light(me, at);
      link.onblur = () => light(me, null);
      list.append(line);
      return line;
    });
    const frame = el("div", "frame", el("div", "body", drawing(me), list));
    me.root.append(frame, me.told);
  },
  paint() {},
});
