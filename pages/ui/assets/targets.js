// Targets of the environment: which version each was seen to run, how it is, and its log.
const COLUMNS = [["Target", "target", ""], ["Version (as observed)", "version", ""], ["Health", "state", ""], ["Notes", "note", "n"], ["Logs", "", ""]];
// What needs somebody comes first when sorted by health.
const ORDER = "XQVURHO";
function sorted(me) {
  const { by, down } = me.sort, tell = (row) => by === "target" ? row.target : by === "version" ? row.version : by === "note" ? row.note : String(ORDER.indexOf(letterOf(me, row)));
  const rows = me.page.rows.map((row, at) => ({ row, at }));
  rows.sort((a, b) => tell(a.row).localeCompare(tell(b.row), undefined, { numeric: true }) * (down ? -1 : 1) || a.at - b.at);
  const wanted = rows.map(({ at }) => me.rows[at].line);
  if (wanted.some((line, at) => me.body.children[at] !== line)) me.body.append(...wanted);
  for (const [name, cell] of Object.entries(me.heads)) cell.setAttribute("aria-sort", name !== by ? "none" : down ? "descending" : "ascending");
}
function letterOf(me, row) {
  const at = me.page.rows.indexOf(row);
  return (me.page.settled ? "" : me.snap.tg[at]) || row.letter;
}
export default mount({
  build(me) {
    const head = el("tr");
    me.sort = { by: "target", down: false };
    me.heads = {};
    for (const [text, name, cls] of COLUMNS) {
      const cell = el("th", cls);
      cell.scope = "col";
      if (name) {
        const button = el("button", "sort", text, el("span", "arrow"));
        button.type = "button";
        button.onclick = () => { me.sort = { by: name, down: me.sort.by === name && !me.sort.down }; sorted(me); };
        cell.append(button);
        me.heads[name] = cell;
      } else cell.append(text);
      head.append(cell);
    }
    me.body = el("tbody");
    me.rows = me.page.rows.map((row) => {
      const nodes = { version: el("span", "mono"), state: el("span"), note: el("span", "note"), open: el("button", "open", "open") };
      nodes.open.type = "button";
      nodes.open.setAttribute("aria-label", `Open the log of ${row.target}`);
      nodes.open.onclick = () => me.fire("open", row.target);
      const line = el("tr", row.cohort ? "in" : "", el("td", "mono", row.target), el("td", "", nodes.version), el("td", "", nodes.state), el("td", "n", nodes.note), el("td", "", nodes.open));
      me.body.append(line);
      return { ...nodes, line };
    });
    const table = el("table", "", el("caption", "sr", me.page.caption), el("thead", "", head), me.body);
    const frame = el("div", me.page.rows.length > 40 ? "frame tall" : "frame", table);
    if (me.page.rows.length > 40) frame.tabIndex = 0;
    me.root.append(frame);
  },
  paint(me) {
    let moved = false;
    me.page.rows.forEach((row, at) => {
      const nodes = me.rows[at], letter = letterOf(me, row);
      const signature = JSON.stringify([row, letter]);
      if (!nodes || nodes.signature === signature) return;
      nodes.signature = signature;
      moved = true;
      const look = me.page.words.target[letter];
      nodes.version.className = row.is_new ? "mono new" : "mono";
      say(nodes.version, row.version);
      nodes.version.title = row.digest;
      nodes.state.className = `state t-${look.tone}`;
      nodes.state.replaceChildren(icon(look.shape), look.word);
      say(nodes.note, row.note);
    });
    if (moved) sorted(me);
  },
});
