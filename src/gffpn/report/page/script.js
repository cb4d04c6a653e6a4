// Sorting, filtering, and linked highlighting of an arm; the page is readable without it.
document.documentElement.classList.add("js");
const arms = (node) => node.dataset.arm.split(" ");
for (const study of document.querySelectorAll(".study")) {
  const marked = [...study.querySelectorAll("[data-arm]")];
  const chips = [...study.querySelectorAll(".chips button")];
  const box = study.querySelector(".chips input");
  let pinned = null;
  const light = (on) => {
    for (const node of marked) {
      node.classList.toggle("dim", on !== null && !arms(node).some((arm) => on.includes(arm)));
    }
  };
  const show = () => light(pinned);
  for (const chip of chips) {
    const own = arms(chip);
    chip.addEventListener("click", () => {
      const again = pinned && pinned[0] === own[0];
      pinned = again ? null : own;
      for (const other of chips) other.setAttribute("aria-pressed", String(pinned !== null && other === chip));
      show();
    });
    chip.addEventListener("pointerenter", () => light(own));
    chip.addEventListener("pointerleave", show);
  }
  study.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && pinned) {
      pinned = null;
      for (const chip of chips) chip.setAttribute("aria-pressed", "false");
      show();
    }
  });
  if (box) box.addEventListener("input", () => {
    const word = box.value.trim().toLowerCase();
    const kept = chips.filter((chip) => chip.textContent.toLowerCase().includes(word)).flatMap(arms);
    for (const node of marked) node.classList.toggle("out", !arms(node).some((arm) => kept.includes(arm)));
  });
}
const key = (body, at) => {
  const cell = body.rows[0].cells[at];
  return cell.dataset.v === undefined ? cell.textContent.trim() : Number(cell.dataset.v);
};
for (const table of document.querySelectorAll("table.sorts")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, at) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") !== "descending";
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const bodies = [...table.tBodies].map((body) => [key(body, at), body]);
      bodies.sort(([a], [b]) => (typeof a === typeof b ? (a < b ? -1 : a > b ? 1 : 0) : typeof a === "number" ? 1 : -1));
      if (down) bodies.reverse();
      table.append(...bodies.map(([, body]) => body));
    });
  });
}
