/** A server of PostgreSQL's protocol without a network: pg's `stream` option takes its sockets. */
import process from "node:process";
import { Duplex } from "node:stream";

/** How a connect ends: the server says yes, no, or not now, or there is no way to it. */
export type Answer = "accept" | "refuse" | "refuse for now" | "break";

/** Both ends of one connection. What is asked for stays unanswered until the test says so; queries are answered at once. */
export class FakeSocket extends Duplex {
	state: "connecting" | "open" | "closed" = "connecting";
	/** Hears the client's goodbye, and keeps the connection. */
	isSlowToClose = false;
	#isSilent = false;

	constructor() {
		super({ allowHalfOpen: false });
	}

	// What pg asks of a net.Socket.
	connect(): void {
		process.nextTick(() => this.emit("connect"));
	}
	setNoDelay(): void {}
	setKeepAlive(): void {}
	ref(): void {}
	unref(): void {}

	answer(answer: Answer): void {
		if (answer === "break") {
			this.destroy(Object.assign(new Error("connect EACCES"), { code: "EACCES" }));
		} else if (answer === "refuse") {
			this.#leave("28P01", "password authentication failed");
		} else if (answer === "refuse for now") {
			this.#leave("53300", "sorry, too many clients already");
		} else {
			this.state = "open";
			this.push(Buffer.concat([message("R", int32(0)), message("K", Buffer.concat([int32(1), int32(2)])), READY]));
		}
	}

	/** The network fails. */
	break(): void {
		this.destroy(Object.assign(new Error("read ECONNRESET"), { code: "ECONNRESET" }));
	}

	/** Queries are answered no more. */
	goSilent(): void {
		this.#isSilent = true;
	}

	/** The server ends this session, and no other. */
	terminate(): void {
		this.#leave("57P05", "terminating connection due to idle-session timeout");
	}

	/** The server ends all its sessions; this is the first to hear of it. */
	shutDown(): void {
		this.#leave("57P01", "terminating connection due to administrator command");
	}

	override _read(): void {}

	override _write(chunk: Buffer, _encoding: string, done: () => void): void {
		const kind = String.fromCharCode(chunk[0] as number);
		if (kind === "X" && !this.isSlowToClose) this.push(null);
		if (kind === "Q") this.#run(chunk.toString("utf8", 5, chunk.length - 1));
		done();
	}

	override _destroy(error: Error | null, done: (error: Error | null) => void): void {
		this.state = "closed";
		done(error);
	}

	#run(text: string): void {
		if (this.#isSilent) return;
		if (text === "break") this.break();
		else if (text === "fail") this.push(Buffer.concat([failure("22012", "division by zero"), READY]));
		else this.push(Buffer.concat([message("C", Buffer.from("SELECT 0\0")), READY]));
	}

	#leave(code: string, text: string): void {
		this.push(failure(code, text));
		this.push(null);
	}
}

function message(kind: string, body: Buffer): Buffer {
	return Buffer.concat([Buffer.from(kind), int32(body.length + 4), body]);
}

function int32(value: number): Buffer {
	const bytes = Buffer.alloc(4);
	bytes.writeInt32BE(value);
	return bytes;
}

function failure(code: string, text: string): Buffer {
	return message("E", Buffer.from(`SFATAL\0C${code}\0M${text}\0\0`));
}

const READY = message("Z", Buffer.from("I"));
