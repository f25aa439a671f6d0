"use strict";
(() => {
  const form = document.getElementById("tools"), list = document.querySelector(".cards");
  const cards = [...list.children].map((node, place) => ({
    node, place, ids: node.dataset.ids.toLowerCase(),
    measures: Object.fromEntries(node.dataset.measures.trim().split(/\s+/).map((pair) => pair.split("="))),
  }));
  const show = () => {
    const { verdict, border, order, find } = Object.fromEntries(new FormData(form));
    const words = find.trim().toLowerCase();
    let shown = 0;
    for (const { node, ids } of cards) {
      node.hidden = Boolean((verdict && node.dataset.verdict !== verdict) || (border && node.dataset.border !== border) || !ids.includes(words));
      shown += !node.hidden;
    }
    const value = (card) => (order in card.measures ? Number(card.measures[order]) : Infinity);
    const sorted = [...cards].sort((a, b) => (order && value(a) !== value(b) ? value(a) - value(b) : a.place - b.place));
    list.append(...sorted.map((card) => card.node));
    document.getElementById("count").textContent = `${shown} of ${cards.length} clips`;
  };
  for (const kind of ["input", "change"]) form.addEventListener(kind, show);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = false;
  show();
})();
