// SPDX-License-Identifier: Apache-2.0

// The C library, under whatever name the platform has for it; the one place that knows the names.

#if canImport(Glibc)
@_exported import Glibc
#elseif canImport(Musl)
@_exported import Musl
#elseif canImport(Darwin)
@_exported import Darwin
#endif
