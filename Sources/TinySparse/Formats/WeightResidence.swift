// SPDX-License-Identifier: Apache-2.0

/// Where the weights of a native file are kept.
public enum WeightResidence: Sendable {
    /// In the file's own pages, shared between processes and given back under pressure. Nothing is copied.
    case mapped
    /// Copied once to huge pages, which are read up to a third faster than the 4 KiB pages of a mapped file.
    case copied
    /// Copied if the file takes at most a quarter of the memory that is free now and the copy can be had, else mapped.
    case automatic
}
