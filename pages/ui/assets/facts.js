// Names and what they are: a digest can be copied, and fetched where its bytes are kept.
export default mount({
  build(me) {
    me.told = el("span", "sr");
    me.told.setAttribute("role", "status");
    const list = el("dl");
    for (const { name, text, digest, href, mark, tone, page } of me.page.facts) {
      const value = el("dd");
      const explained = (words) => { const link = el("a", "to", words); link.href = page; return link; };
      if (digest) value.append(digestChip(text, digest, me.told));
      else if (text) value.append(page ? explained(text) : el("span", "", text));
      if (href) {
        const link = el("a", "", me.page.fetch);
        link.href = href;
        link.download = "";
        link.setAttribute("aria-label", `${me.page.fetch} ${name}`);
        value.append(link);
      }
      const label = el("dt", "", mark ? icon(mark, tone) : null, page && digest ? explained(name) : name);
      list.append(el("div", mark ? "marked" : "", label, value));
    }
    me.root.append(list, me.told);
    if (!me.page.facts.length) me.root.append(el("p", "mut", me.page.none));
  },
  paint() {},
});
