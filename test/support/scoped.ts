/**
 * What `using` and `await using` do, which Node 22 has no syntax for: disposes of the resource when the body has ended, whichever
 * way it did.
 */
export async function scoped<R extends Disposable | AsyncDisposable, T>(
	resource: R,
	body: (resource: R) => T | Promise<T>,
): Promise<T> {
	// As `using` does, this takes the method that is there at the beginning: a pool's client has another one each time it is taken.
	const dispose: () => unknown = Symbol.asyncDispose in resource ? resource[Symbol.asyncDispose] : resource[Symbol.dispose];
	try {
		return await body(resource);
	} finally {
		await dispose.call(resource);
	}
}
