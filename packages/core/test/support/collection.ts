import { settle } from "../../../../test/support/promises.ts";

/** Collects garbage until none of these is left, and gives the number of those that stay. */
export async function survivors(references: readonly WeakRef<object>[]): Promise<number> {
	const { gc } = globalThis;
	if (gc === undefined) throw new Error("these tests need node --expose-gc");
	let left = references.length;
	for (let round = 0; round < 10 && left > 0; round++) {
		await settle(); // a WeakRef that was made or asked in this turn keeps its target until the next one
		gc();
		left = references.filter((reference) => reference.deref() !== undefined).length;
	}
	return left;
}
