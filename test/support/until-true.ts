/** How long to wait, and for what. */
export interface WaitOptions {
	/** Names the condition in the error. */
	readonly what: string;
	/** @default 5000 */
	readonly deadlineMillis?: number;
}

/**
 * Waits until the check gives true; it is asked every few milliseconds.
 *
 * @throws Error that names `what`, when the deadline passes first, even while a check hangs. What a check throws passes
 * through.
 *
 * @example await untilTrue(() => existsSync(path), { what: "the child has written its file" });
 */
export async function untilTrue(
	check: () => boolean | Promise<boolean>,
	{ what, deadlineMillis = 5_000 }: WaitOptions,
): Promise<void> {
	const wait: Wait = { timers: new Set() };
	waits.add(wait);
	const late = pause(wait, deadlineMillis).then(() => {
		throw new Error(`not within ${deadlineMillis} ms: ${what}`);
	});
	try {
		while (!(await Promise.race([check(), late]))) await Promise.race([pause(wait, intervalMillis), late]);
		// A check that was under way at a fork also ends in the child.
		if (!waits.has(wait)) await new Promise<never>(() => {});
	} finally {
		drop(wait);
	}
}

/** In a forked child: the waits inherited from the parent are the parent's, and here never end. */
export function forgetWaits(): void {
	for (const wait of waits) drop(wait);
}

interface Wait {
	readonly timers: Set<NodeJS.Timeout>;
}

const intervalMillis = 5;
const waits = new Set<Wait>();

function pause(wait: Wait, millis: number): Promise<void> {
	return new Promise((resolve) => {
		if (!waits.has(wait)) return;
		const timer = setTimeout(() => {
			wait.timers.delete(timer);
			resolve();
		}, millis);
		wait.timers.add(timer);
	});
}

function drop(wait: Wait): void {
	for (const timer of wait.timers) clearTimeout(timer);
	waits.delete(wait);
}
