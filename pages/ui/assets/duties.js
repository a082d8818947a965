// Separation of duties: deeds left and right, people between them, a line for each deed of somebody.
// The lines are percent of the drawing, so that they fit whatever the columns' widths are.
function svgPart(name, attributes) {
  const part = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) part.setAttribute(key, value);
  return part;
}
function drawing(me) {
  const svg = svgPart("svg", { class: "wires", viewBox: "0 0 100 100", preserveAspectRatio: "none", "aria-hidden": "true" });
  for (const line of me.page.graph.lines) {
    const path = svgPart("path", { d: line.d, class: `edge ${line.tone} ${line.denied ? "denied" : ""}`, "vector-effect": "non-scaling-stroke" });
    svg.append(path);
  }
  return svg;
}
function column(me, name, head) {
  const list = el("ul", `side ${name}`);
  list.setAttribute("aria-label", head);
  for (const node of me.page.graph[name]) {
    const item = el("li", `node ${node.tone ?? ""}`, node.text);
    item.style.top = `${node.y}%`;
    list.append(item);
  }
  return list;
}
export default mount({
  build(me) {
    const { height, lines } = me.page.graph;
    const body = el("div", "body", drawing(me), column(me, "left", "Brought it about"), column(me, "people", "People"), column(me, "right", "Let it through or looked at it"));
    body.style.height = `${Math.max(2, height) * 46}px`;
    const heads = el("div", "heads", el("span", "", "Brought it about"), el("span", "", "People"), el("span", "", "Let it through or looked at it"));
    const told = el("ul", "sr", ...lines.map((line) => el("li", "", line.title)));
    me.root.append(el("div", "frame", heads, body, told));
  },
  paint() {},
});
