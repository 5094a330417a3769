// Comfort on the page of one request: the destination is checked by itself, and a large document is told of at once.

async function fill(part) {
  try {
    const answer = await fetch(part.dataset.part, { headers: { "X-Part": "1" } });
    if (answer.ok && !answer.redirected) part.innerHTML = await answer.text();
  } catch {
    // the link that is there leads to the same
  }
}

for (const part of document.querySelectorAll("[data-part]")) fill(part);

for (const file of document.querySelectorAll("input[type=file][data-most]")) {
  file.addEventListener("change", () => {
    const tooLarge = file.files[0]?.size > Number(file.dataset.most);
    file.setCustomValidity(tooLarge ? `This document is too large: at most ${file.dataset.most} bytes are allowed.` : "");
    file.reportValidity();
  });
}
