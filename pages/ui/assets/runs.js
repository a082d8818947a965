// The list of promotions. One row, one run; the newest open run is followed live.
export default mount({
  build(me) {
    const head = el("div", "row head", el("span", "status", "Status"), el("span", "what", "Bundle"), el("span", "route", "Target"), el("span", "verdict", "Policy verdict"), el("span", "who", "Requested by"), el("span", "when", "Started, took"), el("span"));
    const frame = el("div", "frame", head);
    frame.setAttribute("role", "list");
    frame.setAttribute("aria-label", "Promotions, newest first");
    me.took = [];
    for (const run of me.page.rows) {
      const look = me.page.words.run[run.status], go = el("button", "go", "Open");
      go.type = "button";
      go.setAttribute("aria-label", `Open ${run.id}: ${run.bundle}, ${look.word}`);
      const open = () => me.fire("open", run.id);
      go.onclick = (event) => { event.stopPropagation(); open(); };
      go.onkeydown = (event) => {
        const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
        if (!step) return;
        event.preventDefault();
        const all = [...frame.querySelectorAll(".go")];
        all[(all.indexOf(go) + step + all.length) % all.length].focus();
      };
      const mini = el("div", "mini");
      mini.setAttribute("aria-hidden", "true");
      for (const [tone, filled] of run.rail) mini.append(el("i", `t-${tone}${filled ? ` ${filled}` : ""}`));
      const took = el("div", "under");
      me.took.push([took, run]);
      const verdict = run.verdict ? el("a", `word t-${run.verdict.tone}`, run.verdict.word) : el("span", "mut", "–");
      if (run.verdict) {
        verdict.href = run.verdict.page;
        verdict.title = "Replay/Verify this decision";
        verdict.onclick = (event) => event.stopPropagation();
      }
      const digest = el("span", "mono", run.digest);
      digest.title = run.whole;
      const started = el("div", "", run.started ? day(run.started) : "not started");
      if (run.started) started.title = `${local(run.started)} (your time)`;
      const row = el("div", "row",
        el("div", "status", pill(look)),
        el("div", "what", el("div", "main", run.bundle), el("div", "under", `${run.id} · `, digest)),
        el("div", "route", mini, el("div", "under", run.target)),
        el("div", "verdict", verdict, el("div", "under", run.verdict_text)),
        el("div", "who", el("div", "", run.who), el("div", "under", run.kind)),
        el("div", "when", started, took), go);
      row.setAttribute("role", "listitem");
      row.onclick = open;
      frame.append(row);
    }
    me.root.append(frame);
  },
  paint(me) { this.tick(me); },
  tick(me) { for (const [node, run] of me.took) say(node, run.started ? span((run.ended || me.now()) - run.started) : "–"); },
});
function day(ms) {
  const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"], d = new Date(ms);
  return `${months[d.getUTCMonth()]} ${d.getUTCDate()}, ${two(d.getUTCHours())}:${two(d.getUTCMinutes())} UTC`;
}
