// A deploy stage at one look: the answer, the numbers beside their limits, the clock, the trigger.
function tile(label) {
  const value = el("div", "big"), sub = el("div", "sub");
  return { value, sub, whole: el("div", "tile", el("div", "label", label), value, sub) };
}
function meter(label, cls) {
  const value = el("b"), sub = el("span", "mut"), fill = el("i");
  const bar = el("div", `bar ${cls}`, fill);
  bar.setAttribute("role", "progressbar");
  bar.setAttribute("aria-label", label);
  bar.setAttribute("aria-valuemin", "0");
  bar.setAttribute("aria-valuemax", "100");
  return { value, sub, fill, bar, whole: el("div", "meter", el("div", "top", el("span", "label", label), value, sub), bar) };
}
function fill(one, part, tone) {
  const percent = Math.max(0, Math.min(100, 100 * part));
  one.fill.style.width = `${percent}%`;
  one.bar.setAttribute("aria-valuenow", String(Math.round(percent)));
  one.whole.className = `meter t-${tone}`;
}
export default mount({
  build(me) {
    me.answer = el("div", "answer");
    me.tiles = { cohort: tile("Healthy in this stage"), fleet: tile("Fleet"), err: tile("Error rate"), p95: tile("Latency p95"), slo: tile("SLO") };
    const { cohort, fleet, err, p95, slo } = me.tiles;
    me.clock = meter("Criteria held", "clock");
    me.count = meter("Canary requests", "count");
    me.near = meter("Auto-rollback trigger", "near");
    me.why = el("p", "why");
    me.near.whole.append(me.why);
    me.card = el("div", "card", me.answer,
      el("div", "tiles", ...[cohort, fleet, err, p95, slo].map((one) => one.whole)),
      el("div", "meters", me.clock.whole, me.count.whole, me.near.whole));
    me.root.append(me.card);
  },
  paint(me) {
    const live = me.snap.stage?.id === me.page.stage && !me.snap.end;
    const stage = live ? me.snap.stage : me.page.frozen;
    me.card.hidden = !stage;
    if (!stage) return;
    const answer = live ? me.snap.now : stage.answer;
    const signature = JSON.stringify([stage, answer]);
    if (me.signature === signature) return;
    me.signature = signature;
    const words = me.page.words, gate = words.gate[stage.word] ?? words.gate.NO_DATA, trigger = words.trigger[stage.trigger];
    me.answer.className = `answer t-${answer.tone}`;
    me.answer.replaceChildren(icon(answer.shape), el("p", "", el("b", "", answer.head), " ", answer.text));
    const { cohort, fleet, err, p95, slo } = me.tiles;
    say(cohort.value, stage.cohort.replace(" targets healthy", "").replace(" target healthy", "")); say(cohort.sub, stage.cohort_sub);
    say(fleet.value, stage.ratio); say(fleet.sub, stage.ratio_sub);
    say(err.value, stage.err); say(err.sub, stage.err_sub);
    say(p95.value, stage.p95); say(p95.sub, stage.p95_sub);
    slo.value.className = `big word t-${gate.tone}`;
    slo.value.replaceChildren(icon(gate.shape), gate.word);
    say(slo.sub, stage.rule_sub);
    say(me.clock.value, stage.clock); say(me.clock.sub, stage.clock_sub);
    fill(me.clock, stage.done, gate.tone === "idle" ? "run" : gate.tone);
    say(me.count.value, stage.n); say(me.count.sub, stage.n_done >= 1 ? "in the window, enough" : "in the window, too few");
    fill(me.count, stage.n_done, stage.n_done >= 1 ? "ok" : "idle");
    me.near.value.className = `word t-${trigger.tone}`;
    me.near.value.replaceChildren(icon(trigger.shape), trigger.word);
    fill(me.near, stage.trigger === "TRIGGERED" ? 1 : stage.near, stage.near >= .55 || trigger.tone === "err" ? "err" : trigger.tone === "ok" ? "run" : trigger.tone);
    say(me.why, stage.why);
  },
});
