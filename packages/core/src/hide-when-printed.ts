import { inspect } from "node:util";

/**
 * For objects with secrets that others read and copy: whoever prints `target` (`console.log`, `util.inspect`, `JSON.stringify`) does
 * not see these properties. Nothing else is different.
 */
export function hideWhenPrinted(target: object, names: readonly string[]): void {
	function shown(this: object): object {
		const copy: Record<string, unknown> = { ...this };
		for (const name of names) if (copy[name] !== undefined) copy[name] = "[hidden]";
		return copy;
	}
	for (const name of ["toJSON", inspect.custom]) Object.defineProperty(target, name, { value: shown, configurable: true });
}
