// A list for reading: every row a link to what explains it; on a narrow screen each row is a card.
function cellOf(me, cell) {
  const node = el("td", cell.cls ?? "");
  if (cell.label) node.dataset.label = cell.label;
  const inside = el("div", "in");
  if (cell.look) inside.append(pill(cell.look, cell.look.word, true));
  if (cell.digest) inside.append(digestChip(cell.text, cell.digest, me.told));
  else if (cell.text && cell.href) inside.append(linkOf(me, cell.text, cell.href, cell.open));
  else if (cell.text) inside.append(el("span", `main ${cell.mono ? "mono" : ""} ${cell.text.length > 34 ? "long" : ""}`, cell.text));
  if (cell.bar) inside.append(barOf(cell.bar));
  if (cell.course) inside.append(courseOf(cell.course));
  if (cell.title) inside.title = cell.title;
  if (cell.sub) inside.append(el("span", "under", cell.sub));
  node.append(inside);
  return node;
}
function barOf({ share, mark, tone, label }) {
  const over = el("span", "over");
  over.style.width = `${share}%`;
  const line = el("span", "limit");
  line.style.left = `${mark}%`;
  const bar = el("span", `bar t-${tone}`, over, line);
  bar.setAttribute("role", "img");
  bar.setAttribute("aria-label", label);
  return bar;
}
function courseOf({ bars, label }) {
  const course = el("span", "course", ...bars.map(({ height, tone }) => {
    const bar = el("span", `t-${tone}`);
    bar.style.height = `${height}%`;
    return bar;
  }));
  course.setAttribute("role", "img");
  course.setAttribute("aria-label", label);
  course.title = label;
  return course;
}
function linkOf(me, text, href, open) {
  const link = el("a", "main", text);
  link.href = href;
  link.onclick = (event) => {
    if (!open || event.metaKey || event.ctrlKey || event.shiftKey || event.button) return;
    event.preventDefault();
    me.fire("open", open);
  };
  return link;
}
export default mount({
  build(me) {
    me.told = el("span", "sr");
    me.told.setAttribute("role", "status");
    const head = el("tr");
    for (const { name, cls, width } of me.page.columns) {
      const cell = el("th", cls ?? "", name);
      cell.scope = "col";
      if (width) cell.style.width = width;
      head.append(cell);
    }
    const body = el("tbody");
    for (const row of me.page.rows) body.append(el("tr", row.tone ? `tone t-${row.tone}` : "", ...row.cells.map((cell, at) => cellOf(me, { label: me.page.columns[at].name, cls: me.page.columns[at].cls, ...cell }))));
    me.root.append(el("div", "frame", el("table", "", el("caption", "sr", me.page.caption), el("thead", "", head), body)), me.told);
  },
  paint() {},
});
