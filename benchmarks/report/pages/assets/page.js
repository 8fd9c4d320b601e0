// Titles of the marks of a chart, shown at once, and on a touch screen too. Without this script
// the browser shows them by itself.
(function () {
  var box = null;
  document.querySelectorAll("svg title").forEach(function (title) {
    // The chart's own title is its label; over every empty place it would be in the way.
    if (title.parentNode.nodeName !== "svg") { title.parentNode.dataset.tip = title.textContent; }
    title.remove();
  });
  function hide() { if (box) { box.remove(); box = null; } }
  function show(event) {
    var mark = event.target.closest ? event.target.closest("[data-tip]") : null;
    hide();
    if (!mark) { return; }
    box = document.createElement("div");
    box.id = "tooltip";
    box.setAttribute("aria-hidden", "true");
    box.textContent = mark.dataset.tip;
    document.body.appendChild(box);
    var size = box.getBoundingClientRect();
    var x = Math.min(event.clientX + 12, innerWidth - size.width - 8);
    var y = event.clientY - size.height - 10;
    box.style.left = Math.max(8, x) + "px";
    box.style.top = (y < 8 ? event.clientY + 16 : y) + "px";
  }
  document.addEventListener("pointermove", show);
  document.addEventListener("pointerdown", show);
  document.addEventListener("scroll", hide, true);
})();
