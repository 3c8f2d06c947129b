// Turns a click on the comparison into a place of the picture, from 0 to 1 across and down, and marks it.
// Dragging the divider or panning is no click.
const pictureAt = (event) => {
    const box = document.querySelector("#comparison");
    if (!box || !box.contains(event.target) || event.target.closest("button")) return null;
    const image = box.querySelector("img");
    if (!image || !image.naturalWidth) return null;
    const frame = image.getBoundingClientRect();
    // The picture may be letterboxed inside its element.
    const scale = Math.min(frame.width / image.naturalWidth, frame.height / image.naturalHeight);
    const width = image.naturalWidth * scale, height = image.naturalHeight * scale;
    const x = (event.clientX - frame.left - (frame.width - width) / 2) / width;
    const y = (event.clientY - frame.top - (frame.height - height) / 2) / height;
    return x >= 0 && x <= 1 && y >= 0 && y <= 1 ? { box, x, y } : null;
};
const mark = (box, event) => {
    box.querySelectorAll(".place").forEach((old) => old.remove());
    const place = document.createElement("div");
    place.className = "place";
    const frame = box.getBoundingClientRect();
    place.style.left = `${event.clientX - frame.left}px`;
    place.style.top = `${event.clientY - frame.top}px`;
    box.appendChild(place);
};
let down = null;
document.addEventListener("pointerdown", (event) => { down = event; }, true);
document.addEventListener("pointerup", (event) => {
    const moved = down ? Math.hypot(event.clientX - down.clientX, event.clientY - down.clientY) : 99;
    const place = moved < 4 ? pictureAt(event) : null;
    if (!place) return;
    mark(place.box, event);
    trigger("click", { x: place.x, y: place.y });
}, true);
watch("value", () => {
    if (!props.value.includes("<b>")) document.querySelectorAll("#comparison .place").forEach((old) => old.remove());
});
