/** Keeps the first and the last part of a stream, so that an endless one costs no more than its limit. */
export class BoundedOutput {
	readonly #half: number;
	#head = Buffer.alloc(0);
	#tail = Buffer.alloc(0);
	#omitted = 0;

	/** @param limit in bytes, of which half each is for the head and the tail. */
	constructor(limit: number) {
		this.#half = limit / 2;
	}

	add(chunk: Buffer): void {
		const room = this.#half - this.#head.length;
		this.#head = Buffer.concat([this.#head, chunk.subarray(0, room)]);
		const tail = Buffer.concat([this.#tail, chunk.subarray(room)]);
		const excess = Math.max(0, tail.length - this.#half);
		this.#omitted += excess;
		this.#tail = tail.subarray(excess);
	}

	toString(): string {
		const gap = this.#omitted > 0 ? `\n... ${this.#omitted} bytes left out ...\n` : "";
		return this.#head.toString() + gap + this.#tail.toString();
	}
}
