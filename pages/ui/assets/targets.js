// Targets of the environment: which version each was seen to run, how it is, and its log.
export default mount({
  build(me) {
    const head = el("tr");
    for (const [text, cls] of [["Target", ""], ["Version (as observed)", ""], ["Health", ""], ["Notes", "n"], ["Logs", ""]]) {
      const cell = el("th", cls, text);
      cell.scope = "col";
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
    me.root.append(el("div", "frame", table));
  },
  paint(me) {
    me.page.rows.forEach((row, at) => {
      const nodes = me.rows[at], letter = (me.page.settled ? "" : me.snap.tg[at]) || row.letter;
      const signature = JSON.stringify([row, letter]);
      if (!nodes || nodes.signature === signature) return;
      nodes.signature = signature;
      const look = me.page.words.target[letter];
      nodes.version.className = row.is_new ? "mono new" : "mono";
      say(nodes.version, row.version);
      nodes.version.title = row.digest;
      nodes.state.className = `state t-${look.tone}`;
      nodes.state.replaceChildren(icon(look.shape), look.word);
      say(nodes.note, row.note);
    });
  },
});
