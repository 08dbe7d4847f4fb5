// Build the page in a folder, as a team would, into its `dist`.

import { build } from "vite";

await build({
  root: process.argv[2],
  base: "./",
  configFile: false,
  logLevel: "error",
  oxc: { jsx: { runtime: "automatic" } },
});
