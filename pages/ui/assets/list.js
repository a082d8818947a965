// The steps of a run, one row each: when, what, how it went, on one clock, and a way in.
export default mount({
  build(me) {
    const list = el("ol");
    list.setAttribute("aria-label", "Timeline, times in UTC");
    me.rows = new Map();
    for (const step of me.snap.steps) {
      const row = { item: el("li", "row"), time: el("span", "time mono mut"), node: el("span", "node"), name: el("div", "name"), text: el("div", "text"), gantt: el("div", "gantt"), chips: el("div", "chips"), view: el("button", "view", "View") };
      row.view.type = "button";
      row.view.dataset.step = step.id;
      const open = () => me.fire("open", step.id);
      row.item.onclick = open;
      row.view.onclick = (event) => { event.stopPropagation(); open(); };
      row.view.onkeydown = (event) => this.key(list, row.view, event);
      row.item.append(row.time, row.node, row.name, row.gantt, row.text, row.chips, row.view);
      list.append(row.item);
      me.rows.set(step.id, row);
    }
    me.root.append(list);
  },
  key(list, button, event) {
    const buttons = [...list.querySelectorAll(".view")], at = buttons.indexOf(button);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: buttons.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    buttons[(to + buttons.length) % buttons.length].focus();
  },
  paint(me) {
    for (const step of me.snap.steps) {
      const row = me.rows.get(step.id);
      if (!row) continue;
      const look = stepLook(me, step), current = step.id === me.snap.cur;
      const signature = JSON.stringify([step, look, current]);
      if (row.signature === signature) continue;
      row.signature = signature;
      const past = ["SUCCEEDED", "SKIPPED", "REVERTED", "CANCELLED", "FAILED"].includes(step.st);
      row.item.className = `row t-${look.tone}${current ? " cur" : ""}${past && step.a ? " past" : ""}${step.st === "PENDING" || step.st === "SKIPPED" ? " ahead" : ""}`;
      if (current) row.item.setAttribute("aria-current", "step"); else row.item.removeAttribute("aria-current");
      say(row.time, step.a ? utc(step.a) : "––:––");
      row.time.title = step.a ? `${local(step.a)} (your time)` : "not started";
      row.node.replaceChildren(icon(look.shape, look.tone));
      row.name.replaceChildren(step.name, step.n > 1 ? el("small", "", `attempt ${step.n}`) : "");
      row.text.replaceChildren(el("span", "word", step.res || look.word), step.text || "");
      row.left = null;
      if (step.o && step.st === "PENDING") row.text.append(" ", row.left = el("b", "left"));
      row.text.title = `${step.res || look.word} ${step.text || ""}`;
      row.chips.replaceChildren();
      for (const [state, count] of Object.entries(step.ev)) {
        const of = me.page.words.evidence[state];
        row.chips.append(el("span", `chip t-${of.tone}${state === "EXPECTED" ? " due" : ""}`, icon(of.shape), `${count} ${of.word.toLowerCase()}`));
      }
      row.view.setAttribute("aria-label", `View ${step.name}, ${look.word}`);
      row.gantt.replaceChildren();
      row.bar = null;
      if (step.a) {
        row.bar = el("i"); row.took = el("em");
        row.gantt.append(el("u"), row.bar, row.took);
      }
    }
    this.tick(me);
  },
  tick(me) {
    const { snap } = me, from = snap.from, whole = Math.max((snap.to || me.now()) - from, 1);
    for (const step of snap.steps) {
      const row = me.rows.get(step.id);
      if (row?.left) say(row.left, step.o > me.now() ? `in ${span(step.o - me.now())}` : "");
      if (!row?.bar) continue;
      const begins = Math.max(0, (step.a - from) / whole * 100), ends = Math.min(100, ((step.b || me.now()) - from) / whole * 100);
      row.bar.style.left = `${begins}%`;
      row.bar.style.width = `${Math.max(.5, ends - begins)}%`;
      say(row.took, span((step.b || me.now()) - step.a));
      // Beside the bar where there is room, else on its end.
      const left = ends > 58, room = begins > 30;
      row.took.style.left = left ? "auto" : `${ends}%`;
      row.took.style.right = left ? (room ? `${100 - begins}%` : "0") : "auto";
    }
  },
});
