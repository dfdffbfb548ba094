import module from "node:module";

/** From now on, imports of what the pattern matches import the target instead. Node 22.13 has no hooks in the thread that imports. */
export function redirectImports(pattern: RegExp, target: string): void {
	if (module.registerHooks === undefined) {
		const resolve = `(specifier, context, next) => next(${pattern}.test(specifier) ? ${JSON.stringify(target)} : specifier, context)`;
		module.register(`data:text/javascript,${encodeURIComponent(`export const resolve = ${resolve};`)}`);
	} else {
		module.registerHooks({ resolve: (specifier, context, next) => next(pattern.test(specifier) ? target : specifier, context) });
	}
}
