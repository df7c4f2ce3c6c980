// SPDX-License-Identifier: Apache-2.0

#if canImport(Glibc)
@_exported import Glibc
#elseif canImport(Musl)
@_exported import Musl
#endif
