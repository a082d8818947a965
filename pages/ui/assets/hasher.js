// The SHA-256 of a file of the reader's own: reckoned in the browser, the file goes nowhere.
async function take(me, file) {
  if (!file) return;
  if (!crypto.subtle) { say(me.said, me.page.no_crypto); return; }
  say(me.said, `Reading ${file.name} …`);
  try {
    const sum = await crypto.subtle.digest("SHA-256", await file.arrayBuffer());
    const hex = [...new Uint8Array(sum)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    say(me.said, `${file.name}: sha256:${hex}`);
    me.fire("open", `${hex} ${file.name}`);
  } catch { say(me.said, `${file.name} can't be read by this browser.`); }
}
export default mount({
  build(me) {
    const input = el("input", "sr");
    input.type = "file";
    input.id = "hasher";
    input.onchange = () => { take(me, input.files[0]); input.value = ""; };
    const label = el("label", "drop", icon("copy"), el("span", "", el("b", "", me.page.label), el("span", "under", me.page.note)), input);
    label.ondragover = (event) => { event.preventDefault(); label.classList.add("over"); };
    label.ondragleave = () => label.classList.remove("over");
    label.ondrop = (event) => { event.preventDefault(); label.classList.remove("over"); take(me, event.dataTransfer.files[0]); };
    me.said = el("div", "said mono");
    me.said.setAttribute("role", "status");
    me.root.append(label, me.said);
  },
  paint() {},
});
