import { ReleaseError } from "./errors.ts";
import type { ReleaseOptions } from "./pool-interface.ts";

/** What a lease gives its resource back to. */
interface Lender<R> {
	release(resource: R, options?: ReleaseOptions): void;
}

/**
 * The right to use a connection until it is released. A second release never frees what somebody else holds by then.
 *
 * @example
 * ```ts
 * using lease = await pool.lease();
 * await lease.resource.ask("?");
 * ```
 */
export class Lease<R> implements Disposable {
	readonly resource: R;
	readonly #lender: Lender<R>;
	#isReleased = false;

	/** @internal */
	constructor(resource: R, lender: Lender<R>) {
		this.resource = resource;
		this.#lender = lender;
	}

	/**
	 * Gives the connection back.
	 *
	 * @throws ReleaseError (ERR_FORKSAFE_RELEASE) when this lease was released before; nothing else happens then
	 */
	release(options?: ReleaseOptions): void {
		if (this.#isReleased) throw new ReleaseError("release of a lease that has already been released");
		this.#isReleased = true;
		this.#lender.release(this.resource, options);
	}

	/** Gives the connection back unless that was done before. */
	[Symbol.dispose](): void {
		if (!this.#isReleased) this.release();
	}
}
