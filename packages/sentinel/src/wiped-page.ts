import { createRequire } from "node:module";
import process from "node:process";

/** A page of memory that the kernel fills with zeros in every child, for its owner to find out in a nanosecond. */
export interface WipedPage {
	/** Whether the kernel has wiped it since it was last marked. */
	isWiped(): boolean;
	mark(): void;
}

/** linux/mman.h */
const PROT_READ_WRITE = 0x1 | 0x2;
const MAP_PRIVATE_ANONYMOUS = 0x02 | 0x20;
/** Linux 4.14. BoringSSL and AWS-LC notice a fork by it, lest parent and child draw the same random numbers. */
const MADV_WIPEONFORK = 18;
/** A page of any Linux is a multiple of it, and mmap rounds up. */
const LENGTH = 4_096;
const MARK = 1;

type Koffi = typeof import("koffi");

/**
 * Maps a page that is wiped on fork, whichever system call copies the process and whatever pid the child has.
 *
 * @throws Error saying why there can be none: not Linux, no koffi for this platform, a kernel or sandbox without
 * MADV_WIPEONFORK
 */
export function mapWipedPage(): WipedPage {
	if (process.platform !== "linux") throw new Error(`it needs Linux, and this is ${process.platform}`);
	const koffi = loadKoffi();
	const libc = koffi.load(null);
	const mmap = libc.func("void *mmap(void *start, size_t length, int protection, int flags, int file, long offset)");
	const madvise = libc.func("int madvise(void *start, size_t length, int advice)");
	const page: unknown = mmap(null, LENGTH, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, -1, 0);
	// MAP_FAILED is -1.
	if (page === null || koffi.address(page) === 2n ** 64n - 1n) throw new Error(`mmap failed: ${errorName(koffi)}`);
	if (madvise(page, LENGTH, MADV_WIPEONFORK) !== 0) {
		const reason = errorName(koffi);
		libc.func("int munmap(void *start, size_t length)")(page, LENGTH);
		throw new Error(`the kernel does not wipe memory on fork (madvise: ${reason}; it needs Linux 4.14)`);
	}
	const word = new Int32Array(koffi.view(page, LENGTH), 0, 1);
	word[0] = MARK;
	return {
		isWiped: () => word[0] !== MARK,
		mark: () => {
			word[0] = MARK;
		},
	};
}

/** It is native: where it has no prebuilt library, it throws when it is loaded. */
function loadKoffi(): Koffi {
	try {
		return createRequire(import.meta.url)("koffi") as Koffi;
	} catch (error) {
		throw new Error("koffi cannot be loaded", { cause: error });
	}
}

function errorName(koffi: Koffi): string {
	const number = koffi.errno();
	const [name] = Object.entries(koffi.os.errno).find(([, value]) => value === number) ?? [`errno ${number}`];
	return name;
}
