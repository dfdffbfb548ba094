/** What has become of a promise so far. */
export interface Outcome<T> {
	state: "pending" | "fulfilled" | "rejected";
	value: T | undefined;
	reason: unknown;
}

/** Follows a promise without waiting for it. */
export function follow<T>(promise: Promise<T>): Outcome<T> {
	const outcome: Outcome<T> = { state: "pending", value: undefined, reason: undefined };
	promise.then(
		(value) => {
			outcome.state = "fulfilled";
			outcome.value = value;
		},
		(reason: unknown) => {
			outcome.state = "rejected";
			outcome.reason = reason;
		},
	);
	return outcome;
}

/** What nearly every rejection is, and tests look into. */
type Reason = Error & { readonly code?: string };

/** What a promise rejects with. */
export async function rejection(promise: Promise<unknown>): Promise<Reason> {
	try {
		await promise;
	} catch (reason) {
		return reason as Reason;
	}
	throw new Error("the promise should have been rejected");
}

/** What a function throws. */
export function thrown(action: () => unknown): Reason {
	try {
		action();
	} catch (error) {
		return error as Reason;
	}
	throw new Error("the function should have thrown");
}

/** Lets everything happen that waits for nothing but promises, and a few turns of the event loop. */
export async function settle(): Promise<void> {
	for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
}
