// The stage of the moment: its numbers with what they are measured against, its clock, its trigger.
function spark(series, limit) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "spark");
  svg.setAttribute("viewBox", "0 0 100 30");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  const known = series.flatMap(([, values]) => values).filter((v) => v !== null);
  const top = Math.max(1e-9, ...known, limit && Math.max(...known, 0) > limit * .4 ? limit : 0) * 1.08;
  const draw = (cls, d) => {
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("class", cls);
    path.setAttribute("d", d);
    svg.append(path);
  };
  if (limit && limit <= top) draw("l", `M0 ${30 - 30 * limit / top}H100`);
  for (const [cls, values] of series) {
    let d = "", gap = true;
    values.forEach((value, at) => {
      if (value === null) { gap = true; return; }
      d += `${gap ? "M" : "L"}${(100 * at / Math.max(1, values.length - 1)).toFixed(2)} ${(30 - 30 * value / top).toFixed(2)}`;
      gap = false;
    });
    if (d) draw(cls, d);
  }
  return svg;
}
function number(label) {
  const value = el("div", "big"), sub = el("div", "sub"), chart = el("div");
  return { value, sub, chart, whole: el("div", "", el("div", "label", label), value, sub, chart) };
}
export default mount({
  build(me) {
    me.card = el("div", "card");
    me.title = el("h2");
    me.numbers = { err: number("Error rate"), p95: number("Latency p95") };
    const { err, p95 } = me.numbers;
    me.held = el("b"); me.need = el("span", "mut"); me.fill = el("i");
    me.gate = el("div", "gate", el("div", "top", me.held, me.need), el("div", "bar", me.fill));
    me.facts = el("ul");
    me.card.append(me.title, el("div", "two", err.whole, p95.whole), me.gate, me.facts);
    me.root.append(me.card);
  },
  paint(me) {
    const stage = me.snap.stage;
    me.card.hidden = !stage;
    if (!stage) return;
    const signature = JSON.stringify(stage);
    if (me.signature === signature) return;
    me.signature = signature;
    const words = me.page.words, gate = words.gate[stage.word] ?? words.gate.NO_DATA, trigger = words.trigger[stage.trigger];
    me.title.replaceChildren(stage.name, pill(gate, undefined, true));
    const { err, p95 } = me.numbers;
    say(err.value, stage.err); say(err.sub, stage.err_sub);
    say(p95.value, stage.p95); say(p95.sub, stage.p95_sub);
    err.chart.replaceChildren(spark([["b", stage.spark[1]], ["c", stage.spark[0]]], stage.limit));
    p95.chart.replaceChildren(spark([["b", stage.spark[3]], ["c", stage.spark[2]]], 0));
    say(me.held, stage.clock); say(me.need, stage.clock_sub);
    me.gate.className = `gate t-${gate.tone === "idle" ? "run" : gate.tone}`;
    me.fill.style.width = `${Math.min(100, 100 * stage.done)}%`;
    const facts = [["run", "check", `${stage.cohort} ${stage.fleet}`], [trigger.tone, trigger.shape, `Auto-rollback: ${trigger.word}`]];
    const items = [...facts, ...stage.facts].filter(([, , text]) => text);
    me.facts.replaceChildren(...items.map(([tone, shape, text]) => el("li", "", icon(shape, tone), el("span", "", text))));
    me.facts.hidden = !items.length;
  },
});
