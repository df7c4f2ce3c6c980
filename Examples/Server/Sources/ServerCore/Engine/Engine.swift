// SPDX-License-Identifier: Apache-2.0

import Dispatch
import Foundation
import Synchronization
import TinySparse

/// The one owner of a `Batch`: a thread that generates all texts together, a token of each at every step.
///
/// Requests come from any task through a bounded queue (`submit`), and each gets what comes of it as a stream of events
/// (`Answer`). The thread waits for nobody: what a reader does not take is kept up to a bound, beyond which its request
/// ends. A request that is canceled leaves the batch before the next step.
public final class Engine: Sendable {
    /// How much the engine takes on.
    public struct Limits: Sendable {
        /// Texts that are generated at a time.
        public var places = 8
        /// Texts that wait for a place.
        public var queue = 64
        /// Events of a request that its reader has not taken yet.
        public var unreadEvents = 1024

        /// The defaults above.
        public init() {}
    }

    /// What the engine is doing.
    public struct Status: Sendable {
        /// Texts that have been taken on and have not ended.
        public var open = 0
        /// Requests taken on, and refused because the queue was full.
        public var accepted = 0, refused = 0
        /// Requests that ended because their readers were too slow or went away.
        public var abandoned = 0
        /// Tokens of complete answers; tokens of prompts, and how many of those were there already.
        public var tokens = 0, promptTokens = 0, cachedTokens = 0
        /// Whether no more requests are taken on.
        public var isDraining = false
    }

    /// The model that is served.
    public let model: Model
    /// Most tokens of a prompt and its text.
    public let contextLimit: Int
    public let limits: Limits

    private let state = Mutex(State())
    /// Signaled for every command.
    private let signal = DispatchSemaphore(value: 0)

    private struct State {
        var commands: [Command] = []
        var status = Status()
        var nextJob = 0
        /// Those who wait until no text is open.
        var waiting: [CheckedContinuation<Void, Never>] = []
    }

    /// What the thread is told to do before its next step.
    enum Command: Sendable {
        case start(Job)
        case cancel(Job.ID)
        case stop
    }

    /// Starts the thread; it ends after `stop`.
    /// - Throws: `RuntimeError` for options that are not possible, or memory that is not there.
    public init(_ model: Model, _ limits: Limits = Limits(), _ options: Session.Options = Session.Options())
        throws(RuntimeError)
    {
        let batch = try Batch(model, places: limits.places, options)
        self.model = model
        self.limits = limits
        contextLimit = batch.contextLimit
        nonisolated(unsafe) let owned = batch  // From here on the thread's alone.
        let thread = Thread { [self] in EngineLoop(owned, self).run() }
        thread.name = "engine"
        thread.stackSize = 8 << 20
        thread.start()
    }

    /// A snapshot.
    public var status: Status { state.withLock { $0.status } }

    // MARK: Requests

    /// Whether so many texts would be taken on now.
    /// - Throws: `EngineError` if not.
    func checkRoom(for texts: Int) throws(EngineError) {
        try state.withLock { (state) throws(EngineError) in try checkRoom(for: texts, &state) }
    }

    /// Takes on texts that belong together.
    /// - Throws: `EngineError` if there is no room for all of them, and while the engine drains.
    func submit(_ texts: [Job.Text]) throws(EngineError) -> Answer {
        let (events, continuation) = AsyncThrowingStream.makeStream(
            of: Answer.Event.self, bufferingPolicy: .bufferingOldest(limits.unreadEvents))
        let id = try state.withLock { (state) throws(EngineError) in
            try checkRoom(for: texts.count, &state)
            state.status.open += texts.count
            state.status.accepted += 1
            state.nextJob += 1
            state.commands.append(.start(Job(id: state.nextJob, texts: texts, continuation: continuation)))
            return state.nextJob
        }
        continuation.onTermination = { [weak self] reason in
            if case .cancelled = reason { self?.send(.cancel(id)) }
        }
        signal.signal()
        return Answer(events: events) { [weak self] in self?.send(.cancel(id)) }
    }

    private func checkRoom(for texts: Int, _ state: inout State) throws(EngineError) {
        guard !state.status.isDraining else { throw .draining }
        let most = limits.places + limits.queue
        guard texts <= most else { throw .tooManyTexts(most: most) }
        guard state.status.open + texts <= most else {
            state.status.refused += 1
            throw .full
        }
    }

    private func send(_ command: Command) {
        state.withLock { $0.commands.append(command) }
        signal.signal()
    }

    // MARK: The end

    /// Takes on no more requests, and returns when those it has are answered.
    public func drain() async {
        await withCheckedContinuation { continuation in
            let isIdle = state.withLock { state in
                state.status.isDraining = true
                if state.status.open > 0 { state.waiting.append(continuation) }
                return state.status.open == 0
            }
            if isIdle { continuation.resume() }
        }
    }

    /// Takes on no more requests, ends those it has, and the thread.
    public func stop() {
        state.withLock { $0.status.isDraining = true }
        send(.stop)
    }

    // MARK: The thread's side

    /// What came since the last call; waits for something if asked to.
    func commands(waiting: Bool) -> [Command] {
        if waiting { signal.wait() }
        return state.withLock { state in
            defer { state.commands = [] }
            return state.commands
        }
    }

    /// Notes what a step did.
    /// - Parameter change: to the status; texts that have ended are no longer open.
    func update(_ change: (inout Status) -> Void) {
        let waiting = state.withLock { state in
            change(&state.status)
            guard state.status.open == 0 else { return [CheckedContinuation<Void, Never>]() }
            defer { state.waiting = [] }
            return state.waiting
        }
        for continuation in waiting { continuation.resume() }
    }
}

/// Why a request is not taken on, or not answered to its end.
public enum EngineError: Error, Equatable {
    /// All places and the queue are taken.
    case full
    /// More texts than there can ever be.
    case tooManyTexts(most: Int)
    /// The server is being stopped.
    case draining
    /// The reader left too much unread.
    case unread
}
