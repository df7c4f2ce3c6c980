// SPDX-License-Identifier: Apache-2.0

import TinySupport

/// The pages of a batch, and what they hold: a radix tree over token ids, whose nodes are pages. From the root to a page lie
/// the tokens of a text's beginning, those of each page from its first position on.
///
/// A page is counted by the sequences that use it. When none does, it stays for texts that begin alike, until pages run
/// short: then the one that was used longest ago goes, of those that nothing follows. Only the last page of a sequence is
/// written to; what is shared is full and does not change.
final class PrefixTree {
    private struct Page {
        /// Those whose keys and values are in the page and were evaluated as a prompt's are, from the first on.
        var tokens: [Int32] = []
        /// The page before it in every text; nil for one that begins texts.
        var parent: Int?
        var children: [Int] = []
        var users = 0
        /// Has one user, whose text may be cut.
        var isExclusive = false
        var lastUse = 0
    }

    /// How much of a text is there.
    struct Match {
        /// Full pages.
        var pages: [Int] = []
        /// A page that the text goes on with, for some positions.
        var last: (page: Int, count: Int)?
        var count = 0
    }

    /// Positions in a page.
    let positions: Int
    private var pages: [Page]
    /// The pages that begin texts.
    private var roots: [Int] = []
    private var free: [Int]
    /// Pages that hold something and have no user.
    private var unused = 0
    private var clock = 0

    init(pages count: Int, positions: Int) {
        self.positions = positions
        pages = Array(repeating: Page(), count: count)
        free = Array((0..<count).reversed())
    }

    /// Pages that can be taken.
    var available: Int { free.count + unused }

    /// The longest beginning of a text that there is. O(its length + the pages that follow each of its own).
    func match(_ text: ArraySlice<Int32>) -> Match {
        var match = Match(), rest = text
        var children = roots
        while let best = children.map({ ($0, pages[$0].tokens.commonPrefix(with: rest)) }).max(by: { $0.1 < $1.1 }),
            best.1 > 0
        {
            match.count += best.1
            guard best.1 == positions else {
                match.last = (best.0, best.1)
                break
            }
            match.pages.append(best.0)
            rest = rest.dropFirst(positions)
            children = pages[best.0].children
        }
        return match
    }

    /// Whether a sequence can use a full page beside others that do.
    /// - Parameter exclusively: it wants to be the only one.
    func canUse(_ page: Int, exclusively: Bool) -> Bool {
        pages[page].users == 0 || !exclusively && !pages[page].isExclusive
    }

    func isUsed(_ page: Int) -> Bool { pages[page].users > 0 }

    /// Counts one more user of a page.
    func use(_ page: Int, exclusively: Bool) {
        if pages[page].users == 0 { unused -= 1 }
        pages[page].users += 1
        pages[page].isExclusive = exclusively
    }

    /// Takes a page that follows another, without any tokens; its one user is who takes it.
    /// - Parameter kept: a page that must not be given up for it.
    /// - Returns: nil if none is available.
    func take(after parent: Int?, exclusively: Bool, keeping kept: Int? = nil) -> Int? {
        if free.isEmpty { giveUpOldest(but: kept) }
        guard let page = free.popLast() else { return nil }
        pages[page] = Page(parent: parent, users: 1, isExclusive: exclusively)
        if let parent { pages[parent].children.append(page) } else { roots.append(page) }
        return page
    }

    /// Counts one user less. A page that holds nothing of use is free then.
    func release(_ page: Int) {
        pages[page].users -= 1
        guard pages[page].users == 0 else { return }
        unused += 1
        clock += 1
        pages[page].isExclusive = false
        pages[page].lastUse = clock
        if pages[page].tokens.isEmpty { giveUp(page) }
    }

    /// The first tokens of a page.
    func beginning(of page: Int, _ count: Int) -> ArraySlice<Int32> { pages[page].tokens[..<count] }

    /// Notes tokens that were evaluated in a page, behind those it has.
    func append(_ tokens: some Collection<Int32>, to page: Int) { pages[page].tokens += tokens }

    /// Forgets all but the first tokens of a page that has no user but the caller, and what follows them.
    func cut(_ page: Int, to count: Int) {
        pages[page].tokens.removeLast(max(pages[page].tokens.count - count, 0))
        while let child = pages[page].children.last { giveUp(child) }
    }

    private func giveUpOldest(but kept: Int?) {
        let oldest = pages.indices.filter {
            pages[$0].users == 0 && !pages[$0].tokens.isEmpty && pages[$0].children.isEmpty && $0 != kept
        }.min { pages[$0].lastUse < pages[$1].lastUse }
        if let oldest { giveUp(oldest) }
    }

    /// Frees a page without users, and those that follow it.
    private func giveUp(_ page: Int) {
        while let child = pages[page].children.last { giveUp(child) }
        if let parent = pages[page].parent {
            pages[parent].children.removeAll { $0 == page }
        } else {
            roots.removeAll { $0 == page }
        }
        pages[page] = Page()
        unused -= 1
        free.append(page)
    }
}
