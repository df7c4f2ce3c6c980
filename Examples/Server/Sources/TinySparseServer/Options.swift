// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation
import Logging
import ServerCore
import TinySparse

struct NetworkOptions: ParsableArguments {
    @Option(help: "The address to listen at. 0.0.0.0 is every address of this machine.")
    var host = "127.0.0.1"

    @Option(help: "The port; 0 for any that is free.")
    var port = 8080

    @Option(
        help: ArgumentHelp(
            "A file with the key that clients have to send; or set TINYSPARSE_API_KEY (default: no key).",
            valueName: "file"))
    var apiKeyFile: String?

    @Option(
        help: ArgumentHelp(
            "A web site whose pages may use the server, like https://example.org, or * for all.", valueName: "origin"))
    var allowOrigin: String?

    @Option(help: "trace, debug, info, notice, warning, error or critical.")
    var logLevel = Logger.Level.info

    func validate() throws {
        guard 0...65535 ~= port else { throw ValidationError("--port \(port): 0 to 65535 are possible") }
    }

    var logger: Logger {
        var logger = Logger(label: "tinysparse-server")
        logger.logLevel = logLevel
        return logger
    }

    func settings(_ limits: LimitOptions) throws -> ServerSettings {
        var settings = ServerSettings()
        settings.apiKey = try apiKey()
        settings.maxBody = limits.maxBody
        settings.clientTimeout = .seconds(Int64(limits.clientTimeout))
        settings.allowedOrigin = allowOrigin
        return settings
    }

    private func apiKey() throws -> String? {
        var key = ProcessInfo.processInfo.environment["TINYSPARSE_API_KEY"]
        if let apiKeyFile {
            do { key = try String(contentsOfFile: apiKeyFile, encoding: .utf8) } catch {
                throw ValidationError("--api-key-file \(apiKeyFile): cannot be read as text")
            }
        }
        let trimmed = key?.trimmingCharacters(in: .whitespacesAndNewlines)
        // A key that was meant to be there and is not would let everybody in.
        if trimmed == "" { throw ValidationError("the API key is empty; leave it out to let everybody in") }
        return trimmed
    }
}

struct ModelOptions: ParsableArguments {
    @Option(help: "What requests call the model (default: the name of its file).")
    var name: String?

    @Option(
        help: ArgumentHelp(
            "A chat template: a file in Jinja, or chatml, llama2, llama3, zephyr or plain (default: the model's own).",
            valueName: "file"))
    var template: String?

    @Option(help: "Most tokens of a prompt and its text (default: the model's context, at most 4096).")
    var context: Int?

    @Option(help: "Threads that compute (default: all cores).")
    var threads = 0

    @Option(help: "Keys and values in half precision (half), or half as large and less exact (int8).")
    var cache = CacheType.half

    @Option(
        help: ArgumentHelp(
            "auto: leave out the neurons, heads and logits that the model's predictors say are not needed, as tinysparse "
                + "run does; off: compute all.", valueName: "auto|off"))
    var sparsity = SparsityOption.auto

    /// Opens the model and starts its engine.
    /// - Throws: `ValidationError` with the reason.
    func open(_ path: String, _ limits: LimitOptions, _ logger: Logger) throws -> ServedModel {
        logger.info("opening \(path)")
        let model: Model
        do {
            model = try Model(path: path) { if case .note(let text) = $0 { logger.notice("\(text)") } }
        } catch let error as FormatError {
            throw ValidationError(error.description)
        }
        var engineLimits = Engine.Limits()
        engineLimits.places = limits.places
        engineLimits.queue = limits.queue
        engineLimits.unreadEvents = limits.unreadPieces
        let options = Session.Options(
            threads: threads, context: context ?? min(model.config.contextLength, 4096),
            sparsity: sparsity == .auto ? .predicted() : .off, screensHead: sparsity == .auto, cacheType: cache)
        let template = try chatTemplate(model, logger)
        let name = name ?? URL(fileURLWithPath: path).deletingPathExtension().lastPathComponent
        do throws(RuntimeError) {
            let engine = try Engine(model, engineLimits, options)
            return ServedModel(name: name, engine: engine, template: template, maxTokens: limits.maxTokens)
        } catch {
            throw ValidationError(error.description)
        }
    }
}

extension ModelOptions {
    private func chatTemplate(_ model: Model, _ logger: Logger) throws -> ChatTemplate? {
        do throws(TemplateError) {
            guard let template else { return try model.tokenizer.chatTemplate() }
            guard let source = try? String(contentsOfFile: template, encoding: .utf8) else {
                return try .named(template)
            }
            return try ChatTemplate(jinja: source)
        } catch {
            if let template { throw ValidationError("--template \(template): \(error.description)") }
            logger.warning("the model's chat template cannot be run, \(error.description); choose one by --template")
            return nil
        }
    }
}

struct LimitOptions: ParsableArguments {
    @Option(help: "Texts that are written at a time; the weights are read once for all of them.")
    var places = 8

    @Option(help: "Texts that wait for a place; what comes beyond gets the status 429.")
    var queue = 64

    @Option(help: "Most tokens of an answer (default: the context).")
    var maxTokens: Int?

    @Option(help: "Most bytes of a request.")
    var maxBody = 1 << 20

    @Option(help: "Most connections; others wait for one to close.")
    var connections = 1024

    @Option(help: "Seconds that a connection may stay without a request, or within one that does not go on.")
    var idleTimeout = 60

    @Option(help: "Seconds that a client may take for a piece of its answer.")
    var clientTimeout = 30

    @Option(help: "Pieces that a client may leave unread before its answer ends.")
    var unreadPieces = 1024

    @Option(help: "Seconds that running answers may take after SIGTERM.")
    var drainTimeout = 60

    func validate() throws {
        func require(_ good: Bool, _ text: String) throws { if !good { throw ValidationError(text) } }
        try require(1...256 ~= places, "--places \(places): 1 to 256 are possible")
        try require(0...1_000_000 ~= queue, "--queue \(queue): 0 to 1000000 are possible")
        try require(maxTokens ?? 1 > 0, "--max-tokens \(maxTokens ?? 0): 1 is the least")
        try require(1...(1 << 30) ~= maxBody, "--max-body \(maxBody): 1 to \(1 << 30) are possible")
        try require(1...1_000_000 ~= connections, "--connections \(connections): 1 to 1000000 are possible")
        for (name, seconds) in [
            ("idle", idleTimeout), ("client", clientTimeout), ("drain", drainTimeout),
        ] {
            try require(1...86_400 ~= seconds, "--\(name)-timeout \(seconds): 1 to 86400 seconds are possible")
        }
        try require(1...1_000_000 ~= unreadPieces, "--unread-pieces \(unreadPieces): 1 to 1000000 are possible")
    }
}

enum SparsityOption: String, ExpressibleByArgument { case auto, off }
extension CacheType: @retroactive ExpressibleByArgument {}
extension Logger.Level: @retroactive ExpressibleByArgument {}
