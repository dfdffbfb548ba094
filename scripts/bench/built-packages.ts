/**
 * What users install is measured, not the sources.
 *
 * @throws Error when the sources of one of these packages would be imported
 */
export function needBuilt(...names: readonly string[]): void {
	for (const name of names) {
		const resolved = import.meta.resolve(name);
		if (!resolved.endsWith("/dist/index.js")) throw new Error(`${name} is not the built package, but ${resolved}`);
	}
}

/** @throws Error where it cannot be had: nothing is measured without it under its name */
export async function installSentinel(): Promise<void> {
	needBuilt("@forksafe/sentinel");
	const { unavailableBecause } = await import("@forksafe/sentinel");
	if (unavailableBecause !== undefined) throw new Error(`there is no sentinel: ${unavailableBecause}`);
}
