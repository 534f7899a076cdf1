// Keeps an open page current. Without this script the page is complete, only not renewed by itself.
"use strict";
(() => {
  const own = document.currentScript;
  const every = Math.max(1, Number(own.dataset.every)) * 1000;
  const status = document.createElement("div");
  const button = document.createElement("button");
  const message = document.createElement("span");
  let paused = false;
  let failing = false;

  status.className = "refresh";
  message.setAttribute("role", "status");
  button.type = "button";
  button.textContent = own.dataset.pause;
  button.addEventListener("click", () => {
    paused = !paused;
    button.textContent = paused ? own.dataset.resume : own.dataset.pause;
  });
  status.append(message, button);

  const renew = async () => {
    if (paused || document.hidden) return;
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" }, signal: AbortSignal.timeout(every + 10000) });
      if (!answer.ok) throw new Error(String(answer.status));
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("content");
      const shown = document.getElementById("content");
      // Somebody who reads by keyboard or selects text is not interrupted.
      if (shown.contains(document.activeElement) || !getSelection().isCollapsed) return;
      if (fresh && fresh.innerHTML !== shown.innerHTML) shown.innerHTML = fresh.innerHTML;
      failing = false;
    } catch {
      failing = true;
    }
    message.textContent = failing ? own.dataset.lost : "";
  };

  document.querySelector(".languages").before(status);
  const round = async () => {
    await renew();
    setTimeout(round, every);
  };
  setTimeout(round, every);
})();
