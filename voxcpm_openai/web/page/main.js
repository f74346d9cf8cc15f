/** Starts the page, once it knows the server: then nothing moves while it is shown. */
import { html, render } from "./vendor/preact-htm.js";
import { App, load } from "./app.js";

const place = document.getElementById("app");
load()
  .then((found) => render(html`<${App} found=${found} />`, place))
  .catch(({ message }) => render(html`<p class="error" role="alert">${message}</p>`, place));
