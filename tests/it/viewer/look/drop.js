// Drops files of these names and contents.
const files = new DataTransfer();
for (const [name, content] of arguments[0]) files.items.add(new File([content], name));
document.getElementById("status").textContent = "";
for (const name of ["dragover", "drop"]) {
  document.body.dispatchEvent(new DragEvent(name, { dataTransfer: files, bubbles: true, cancelable: true }));
}
