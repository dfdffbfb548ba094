/** Loaded before an example (`--import`): gives it, in place of `examples/shutdown.ts`, functions that do nothing. */
import { redirectImports } from "./redirect-imports.ts";

redirectImports(/\/shutdown\.ts$/, new URL("./no-shutdown.ts", import.meta.url).href);
