/** Imported before core: its callback runs before core's. */
import { startupSnapshot } from "node:v8";

let first = (): void => {};
startupSnapshot.addDeserializeCallback(() => first());

/** `action` is the first thing to be done in a process that starts from the snapshot. */
export function doFirst(action: () => void): void {
	first = action;
}
