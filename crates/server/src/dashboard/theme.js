// The theme, before the first paint: a classic script, because modules run too late for that.
"use strict";

{
  const root = document.documentElement;
  const kept = () => {
    try {
      return localStorage.getItem("theme");
    } catch {
      return null; // Storage may be forbidden.
    }
  };
  const theme = kept();
  if (theme === "dark" || theme === "light") {
    root.dataset.theme = theme;
  }
}
