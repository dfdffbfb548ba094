import { Socket } from "node:net";
import { Duplex } from "node:stream";

/** A stream through which pg could be tunnelled: it writes and reads, and has no `_final`. */
export class Tunnel extends Duplex {
	readonly #socket = new Socket();

	connect(port: number, host: string): this {
		this.#socket.on("data", (chunk) => this.push(chunk));
		this.#socket.on("end", () => this.push(null));
		this.#socket.connect(port, host, () => this.emit("connect"));
		return this;
	}

	override _read(): void {}

	override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
		this.#socket.write(chunk, () => done());
	}

	override _destroy(error: Error | null, done: (error: Error | null) => void): void {
		this.#socket.destroy();
		done(error);
	}

	setNoDelay(): void {}
	setKeepAlive(): void {}
}
