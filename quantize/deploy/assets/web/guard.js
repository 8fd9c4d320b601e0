if (location.protocol === "file:") {
  const problem = document.getElementById("problem");
  problem.textContent =
    "A browser runs this page only from a server: type python -m http.server in its folder and open http://localhost:8000.";
  problem.hidden = false;
  document.getElementById("status").textContent = "";
}
