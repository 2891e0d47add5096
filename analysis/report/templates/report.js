"use strict";
(function () {
  var figures = JSON.parse(document.getElementById("figures").textContent);
  var config = { displaylogo: false, showSendToCloud: false, responsive: true, displayModeBar: false };
  var waiting = Object.keys(figures);

  function inks(layout) {
    var style = getComputedStyle(document.documentElement);
    var changed = Object.assign({}, layout);
    changed.font = Object.assign({}, layout.font, { color: style.getPropertyValue("--ink").trim() });
    return changed;
  }

  function draw(name) {
    var at = waiting.indexOf(name);
    if (at < 0) return;
    waiting.splice(at, 1);
    var figure = figures[name];
    Plotly.newPlot(name, figure.data, inks(figure.layout), config);
  }

  // Draw visible figures first and the others afterwards, so that a long report opens as fast as a short one.
  var watcher = new IntersectionObserver(function (entries) {
    entries.forEach(function (entry) {
      if (entry.isIntersecting) {
        watcher.unobserve(entry.target);
        draw(entry.target.id);
      }
    });
  }, { rootMargin: "300px" });
  waiting.slice().forEach(function (name) { watcher.observe(document.getElementById(name)); });

  function rest() {
    if (!waiting.length) return;
    draw(waiting[0]);
    setTimeout(rest, 30);
  }
  setTimeout(rest, 500);
  window.addEventListener("beforeprint", function () { waiting.slice().forEach(draw); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", function () {
    Object.keys(figures).forEach(function (name) {
      if (waiting.indexOf(name) < 0) Plotly.react(name, figures[name].data, inks(figures[name].layout), config);
    });
  });
})();
