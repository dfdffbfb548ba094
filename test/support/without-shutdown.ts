/** Loaded before an example (`--import`): gives it, in place of `examples/shutdown.ts`, functions that do nothing. */
import { registerHooks } from "node:module";

registerHooks({
	resolve(specifier, context, nextResolve) {
		if (!specifier.endsWith("/shutdown.ts")) return nextResolve(specifier, context);
		return { url: new URL("./no-shutdown.ts", import.meta.url).href, format: "module-typescript", shortCircuit: true };
	},
});
