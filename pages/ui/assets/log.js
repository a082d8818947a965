// The newest lines of a run's log, newest first. Text only: a line can hold no markup.
export default mount({
  build(me) {
    me.lines = el("ol");
    me.none = el("div", "none mono", "No line yet.");
    const box = el("div", "box mono", me.lines, me.none);
    box.hidden = Boolean(me.page.hidden);
    box.tabIndex = 0;
    box.setAttribute("role", "log");
    box.setAttribute("aria-label", "Run log, times in UTC, newest first");
    if (me.page.tall) box.style.setProperty("--tall", me.page.tall);
    me.root.append(box);
  },
  paint(me) {
    const only = me.page.only;
    const lines = (me.page.lines ?? me.snap.log).filter(([, , step]) => !only || step === only);
    const signature = JSON.stringify(lines);
    if (me.signature === signature) return;
    me.signature = signature;
    me.none.hidden = lines.length > 0;
    me.lines.replaceChildren(...lines.map(([ms, level, step, text]) => {
      const time = el("span", "mut", utc(ms));
      time.title = `${local(ms)} (your time)`;
      return el("li", level, time, el("span", "level", level), el("span", "where", step), el("span", "words", text));
    }));
  },
});
