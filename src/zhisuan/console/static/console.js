// What a page does by itself, without asking the server: copying, filling an example in, the menu on narrow screens.
(() => {
  const copy = async (text) => {
    if (navigator.clipboard && window.isSecureContext) return navigator.clipboard.writeText(text);
    const area = Object.assign(document.createElement("textarea"), { value: text });
    area.style.position = "fixed";
    area.style.opacity = "0";
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  };

  document.addEventListener("click", (event) => {
    const target = event.target.closest("[data-copy],[data-fill],[data-menu],.menu a");
    if (!target) {
      document.body.classList.remove("menu-open");
      return;
    }
    if (target.dataset.copy !== undefined) {
      event.preventDefault();
      copy(target.dataset.copy).then(() => {
        target.classList.add("copied");
        setTimeout(() => target.classList.remove("copied"), 1500);
      });
    } else if (target.dataset.fill !== undefined) {
      const field = target.closest("form").elements[target.dataset.fillInto];
      field.value = target.dataset.fill;
      field.focus();
    } else if (target.dataset.menu) {
      const open = document.body.classList.toggle("menu-open");
      target.setAttribute("aria-expanded", String(open));
    }
  });

  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") document.body.classList.remove("menu-open");
  });

  document.addEventListener("change", (event) => {
    if (event.target.dataset && event.target.dataset.goto !== undefined) {
      window.location.assign(event.target.dataset.goto + encodeURIComponent(event.target.value));
    }
  });
})();
