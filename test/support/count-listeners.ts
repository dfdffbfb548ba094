/** Counts the listeners of a signal from now on. @returns how many there are now, beyond those that were there */
export function countListeners(signal: AbortSignal): () => number {
	let listeners = 0;
	const { addEventListener, removeEventListener } = signal;
	signal.addEventListener = (...args: Parameters<typeof addEventListener>) => {
		listeners++;
		addEventListener.apply(signal, args);
	};
	signal.removeEventListener = (...args: Parameters<typeof removeEventListener>) => {
		listeners--;
		removeEventListener.apply(signal, args);
	};
	return () => listeners;
}
