/** What a promise rejects with. */
export async function rejection(promise: Promise<unknown>): Promise<Error & { code?: string }> {
	try {
		await promise;
	} catch (reason) {
		if (reason instanceof Error) return reason;
		throw new Error(`the promise should have been rejected with an Error: ${String(reason)}`);
	}
	throw new Error("the promise should have been rejected");
}

/** What a function throws. */
export function thrown(action: () => unknown): Error & { code?: string } {
	try {
		action();
	} catch (error) {
		if (error instanceof Error) return error;
		throw new Error(`the function should have thrown an Error: ${String(error)}`);
	}
	throw new Error("the function should have thrown");
}

/** Lets everything happen that waits for nothing but promises and ticks. */
export function settle(): Promise<void> {
	return new Promise((resolve) => setImmediate(resolve));
}
