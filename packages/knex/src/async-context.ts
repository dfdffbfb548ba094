import { AsyncLocalStorage } from "node:async_hooks";
import { startupSnapshot } from "node:v8";

/** An AsyncLocalStorage that does not keep a start-up snapshot from being written: one that is in use does on Node 22. */
export function asyncContext<T>(): AsyncLocalStorage<T> {
	const context = new AsyncLocalStorage<T>();
	// By the next `run` it is in use again.
	if (startupSnapshot.isBuildingSnapshot()) startupSnapshot.addSerializeCallback(() => context.disable());
	return context;
}
