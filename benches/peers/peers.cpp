// Two peers of an index over many documents, behind one command line:
//
//   ibf   SeqAn3's interleaved Bloom filter: one filter a document, interleaved bit by bit (needs SeqAn3)
//   bank  one plain Bloom filter a document, asked document by document
//
//   peers ibf|bank FOLDER --hashes H (--fpr F | --bits-per-item B | --bytes N) --theta T [--singles A,B]
//         [--sequences C,D] [--rounds R] --out RESULT.json [--answers FOLDER2]
//
// FOLDER has documents.seq and documents.ends, NAME.u64 for single items, NAME.seq and NAME.ends for sequences; all
// numbers are little-endian 64-bit words. Everything is in memory before a clock starts, and one thread does the work.

#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <limits>
#include <optional>
#include <span>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#ifdef WITH_SEQAN3
#include <seqan3/search/dream_index/interleaved_bloom_filter.hpp>
#endif

static_assert(std::endian::native == std::endian::little, "files are read as they lie in memory");

namespace {

// ---------------------------------------------------------------------------------------------------------- items

constexpr unsigned K = 31;

constexpr std::uint64_t mix64(std::uint64_t x) {
    std::uint64_t z = x + 0x9E3779B97F4A7C15;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    return z ^ (z >> 31);
}

constexpr std::uint8_t OTHER = 4;     // a letter that no k-mer may hold
constexpr std::uint8_t LINE_END = 5;  // no letter at all

constexpr auto CODES = [] {
    std::array<std::uint8_t, 256> codes{};
    codes.fill(OTHER);
    codes['A'] = codes['a'] = 0;
    codes['C'] = codes['c'] = 1;
    codes['G'] = codes['g'] = 2;
    codes['T'] = codes['t'] = 3;
    codes['\n'] = codes['\r'] = LINE_END;
    return codes;
}();

/// Replaces `out` by the hashes of the canonical k-mers of `sequence`, repeats included.
void hash_kmers(std::string_view sequence, std::vector<std::uint64_t>& out) {
    constexpr std::uint64_t mask = (std::uint64_t{1} << 2 * K) - 1;
    out.resize(sequence.size());
    std::uint64_t forward = 0, reverse = 0;
    std::size_t run = 0, n = 0;
    for (unsigned char letter : sequence) {
        std::uint64_t const code = CODES[letter];
        if (code < OTHER) [[likely]] {
            forward = (forward << 2 | code) & mask;
            reverse = reverse >> 2 | (3 - code) << 2 * (K - 1);
            if (++run >= K) out[n++] = mix64(std::min(forward, reverse));
        } else if (code == OTHER) {
            run = 0;
        }
    }
    out.resize(n);
}

/// The distinct k-mers of one sequence after another.
class Distinct {
public:
    /// Valid until the next call.
    std::span<std::uint64_t const> of(std::string_view sequence) {
        hash_kmers(sequence, kmers_);
        // Hashes are uniform, so their high bits are the slot. Only the part of the table that is used gets cleared.
        unsigned const log_slots = std::bit_width(2 * kmers_.size() | 63);
        std::size_t const mask = (std::size_t{1} << log_slots) - 1;
        if (slots_.size() <= mask) slots_.resize(mask + 1);
        std::fill_n(slots_.begin(), mask + 1, EMPTY);
        bool has_empty = false;  // the one hash that the table cannot hold
        std::size_t kept = 0;
        for (std::uint64_t const kmer : kmers_) {
            if (kmer == EMPTY) {
                if (!std::exchange(has_empty, true)) kmers_[kept++] = kmer;
                continue;
            }
            std::size_t slot = kmer >> (64 - log_slots);
            while (slots_[slot] != EMPTY && slots_[slot] != kmer) slot = (slot + 1) & mask;
            bool const fresh = slots_[slot] == EMPTY;
            slots_[slot] = kmer;
            kmers_[kept] = kmer;
            kept += fresh;
        }
        return {kmers_.data(), kept};
    }

private:
    static constexpr std::uint64_t EMPTY = 0;
    std::vector<std::uint64_t> kmers_, slots_;
};

// ---------------------------------------------------------------------------------------------------------- files

template <typename T>
T read_file(std::string const& path) {
    using Value = typename T::value_type;
    std::ifstream file(path, std::ios::binary | std::ios::ate);
    if (!file) throw std::runtime_error(path + ": cannot be opened");
    auto const bytes = static_cast<std::size_t>(file.tellg());
    if (bytes % sizeof(Value)) throw std::runtime_error(path + ": not a whole number of words");
    T data(bytes / sizeof(Value), Value{});
    file.seekg(0);
    if (!file.read(reinterpret_cast<char*>(data.data()), static_cast<std::streamsize>(bytes)))
        throw std::runtime_error(path + ": cannot be read");
    return data;
}

template <typename T>
void write_file(std::string const& path, T const* data, std::size_t n) {
    std::ofstream file(path, std::ios::binary);
    file.write(reinterpret_cast<char const*>(data), static_cast<std::streamsize>(n * sizeof(T)));
    if (!file.flush()) throw std::runtime_error(path + ": cannot be written");
}

struct Sequences {
    std::string letters;
    std::vector<std::uint64_t> ends;

    explicit Sequences(std::string const& stem)
        : letters(read_file<std::string>(stem + ".seq")), ends(read_file<std::vector<std::uint64_t>>(stem + ".ends")) {
        if (!std::ranges::is_sorted(ends) || (ends.empty() ? 0 : ends.back()) != letters.size())
            throw std::runtime_error(stem + ".ends: does not fit " + stem + ".seq");
    }

    std::size_t size() const { return ends.size(); }

    std::string_view operator[](std::size_t i) const {
        std::size_t const begin = i ? ends[i - 1] : 0;
        return {letters.data() + begin, ends[i] - begin};
    }
};

// -------------------------------------------------------------------------------------------------------- answers

/// Numbers that are appended to room made beforehand, so that loops write without looking; kept between rounds.
class Numbers {
public:
    /// Where at least `n` more numbers fit; those that were written count once `advance` says so.
    std::uint32_t* room(std::size_t n) {
        if (values_.size() < used_ + n) values_.resize(std::max(used_ + n, 2 * values_.size()));
        return values_.data() + used_;
    }
    void advance(std::size_t n) { used_ += n; }
    void clear() { used_ = 0; }
    std::size_t size() const { return used_; }
    std::uint32_t const* data() const { return values_.data(); }

private:
    std::vector<std::uint32_t> values_;
    std::size_t used_ = 0;
};

/// Query i has ids[starts[i]..starts[i + 1]], ascending, and for sequences as many counts.
struct Answers {
    std::vector<std::int64_t> starts;
    Numbers ids, counts;

    void clear() {
        starts.assign(1, 0);
        ids.clear();
        counts.clear();
    }
    void end_query() { starts.push_back(static_cast<std::int64_t>(ids.size())); }
};

/// Items that a hit must hold.
std::uint64_t need(double theta, std::size_t items) {
    return std::max<std::uint64_t>(1, static_cast<std::uint64_t>(std::ceil(theta * static_cast<double>(items))));
}

// ---------------------------------------------------------------------------------------------------------- sizes

struct Sizing {
    unsigned hashes = 0;
    std::optional<double> fpr, bits_per_item, bytes;
};

/// Distinct items of the documents.
struct Census {
    std::uint64_t largest = 0, total = 0;
    std::vector<std::uint64_t> each;
};

/// Bits in which `n` items have the rate `fpr` with `hashes` hash functions.
double bits_for(std::uint64_t n, unsigned hashes, double fpr) {
    return -static_cast<double>(hashes) * static_cast<double>(n) / std::log1p(-std::pow(fpr, 1.0 / hashes));
}

/// Bits that an item gets where the budget is no rate.
double bits_per_item(Sizing const& sizing, Census const& census) {
    if (sizing.bits_per_item) return *sizing.bits_per_item;
    return 8 * *sizing.bytes / static_cast<double>(std::max<std::uint64_t>(census.total, 1));
}

// ---------------------------------------------------------------------------------- interleaved Bloom filter

#ifdef WITH_SEQAN3

class Ibf {
public:
    Ibf(Sequences const& documents, Sizing const& sizing, Census const& census)
        : filter_(seqan3::bin_count{documents.size()},
                  seqan3::bin_size{bin_bits(documents.size(), sizing, census)},
                  seqan3::hash_function_count{sizing.hashes}) {
        std::vector<std::uint64_t> kmers;
        for (std::size_t d = 0; d < documents.size(); ++d) {
            hash_kmers(documents[d], kmers);
            for (std::uint64_t const kmer : kmers) filter_.emplace(kmer, seqan3::bin_index{d});
        }
    }

    std::size_t bytes() const { return filter_.bit_size() / 8; }

    void singles(std::span<std::uint64_t const> queries, Answers& answers) const {
        auto agent = filter_.membership_agent();
        std::size_t const words = (filter_.bin_count() + 63) / 64;
        for (std::uint64_t const query : queries) {
            std::uint64_t const* const found = agent.bulk_contains(query).raw_data().data();
            std::uint32_t* const ids = answers.ids.room(filter_.bin_count());
            std::size_t n = 0;
            for (std::size_t w = 0; w < words; ++w)
                for (std::uint64_t word = found[w]; word; word &= word - 1)
                    ids[n++] = static_cast<std::uint32_t>(64 * w) + static_cast<std::uint32_t>(std::countr_zero(word));
            answers.ids.advance(n);
            answers.end_query();
        }
    }

    void sequences(Sequences const& queries, double theta, Answers& answers) const {
        // The narrowest counters that cannot overflow are the fastest to clear and to scan.
        auto narrow = filter_.counting_agent<std::uint8_t>();
        auto middle = filter_.counting_agent<std::uint16_t>();
        auto wide = filter_.counting_agent<std::uint32_t>();
        Distinct distinct;
        for (std::size_t q = 0; q < queries.size(); ++q) {
            auto const kmers = distinct.of(queries[q]);
            auto const answer = [&](auto& agent) {
                auto const& counts = agent.bulk_count(kmers);
                std::uint64_t const least = need(theta, kmers.size());
                std::uint32_t* const ids = answers.ids.room(counts.size());
                std::uint32_t* const found = answers.counts.room(counts.size());
                std::size_t n = 0;
                for (std::size_t d = 0; d < counts.size(); ++d) {
                    ids[n] = static_cast<std::uint32_t>(d);
                    found[n] = counts[d];
                    n += counts[d] >= least;
                }
                answers.ids.advance(n);
                answers.counts.advance(n);
            };
            if (kmers.size() <= std::numeric_limits<std::uint8_t>::max()) answer(narrow);
            else if (kmers.size() <= std::numeric_limits<std::uint16_t>::max()) answer(middle);
            else answer(wide);
            answers.end_query();
        }
    }

private:
    /// Every bin is as large as the others: the largest document decides where a rate is asked for.
    static std::size_t bin_bits(std::size_t documents, Sizing const& sizing, Census const& census) {
        if (sizing.hashes > 5) throw std::runtime_error("--hashes: SeqAn3 has at most 5");
        double const bins = 64 * std::ceil(static_cast<double>(documents) / 64);  // as many as are stored
        double const bits = sizing.fpr ? std::ceil(bits_for(census.largest, sizing.hashes, *sizing.fpr))
                                       : bits_per_item(sizing, census) * static_cast<double>(census.total) / bins;
        return static_cast<std::size_t>(std::max(bits, 1.0));
    }

    seqan3::interleaved_bloom_filter<> filter_;
};

#endif

// ------------------------------------------------------------------------------------------ bank of Bloom filters

/// A plain Bloom filter, somewhere in the memory of its bank.
struct Bloom {
    std::uint64_t* words;
    std::uint64_t bits;

    /// Bit of the i-th hash function: two halves of the item's hash make them all (Kirsch and Mitzenmacher 2006), and
    /// the high half of a product brings each into range.
    std::uint64_t place(std::uint64_t hash, unsigned i) const {
        std::uint64_t const h = hash + i * std::rotl(hash, 32);
        return static_cast<std::uint64_t>(static_cast<unsigned __int128>(h) * bits >> 64);
    }
    void insert(std::uint64_t hash, unsigned hashes) {
        for (unsigned i = 0; i < hashes; ++i) {
            std::uint64_t const at = place(hash, i);
            words[at / 64] |= std::uint64_t{1} << at % 64;
        }
    }
    bool test(std::uint64_t hash, unsigned i) const {
        std::uint64_t const at = place(hash, i);
        return words[at / 64] >> at % 64 & 1;
    }
    void prefetch(std::uint64_t hash, unsigned i) const { __builtin_prefetch(words + place(hash, i) / 64); }
};

class Bank {
public:
    Bank(Sequences const& documents, Sizing const& sizing, Census const& census) : hashes_(sizing.hashes) {
        std::size_t const line = 8;  // words: a filter begins where no other one ends
        std::vector<std::size_t> first{0};
        for (std::uint64_t const n : census.each) {
            double const bits = sizing.fpr ? bits_for(n, sizing.hashes, *sizing.fpr)
                                           : bits_per_item(sizing, census) * static_cast<double>(n);
            filters_.push_back({nullptr, std::max<std::uint64_t>(1, static_cast<std::uint64_t>(std::ceil(bits)))});
            first.push_back(first.back() + (filters_.back().bits + 64 * line - 1) / (64 * line) * line);
        }
        words_.resize(first.back());
        std::vector<std::uint64_t> kmers;
        for (std::size_t d = 0; d < documents.size(); ++d) {
            filters_[d].words = words_.data() + first[d];
            hash_kmers(documents[d], kmers);
            for (std::uint64_t const kmer : kmers) filters_[d].insert(kmer, hashes_);
        }
    }

    std::size_t bytes() const { return 8 * words_.size(); }

    void singles(std::span<std::uint64_t const> queries, Answers& answers) const {
        std::vector<std::uint32_t> ends;
        std::vector<Hit> hits;
        while (!queries.empty()) {
            auto const block = queries.first(std::min(BLOCK, queries.size()));
            queries = queries.subspan(block.size());
            hits.clear();
            ends.assign(block.size(), 0);
            for (std::size_t d = 0; d < filters_.size(); ++d) {
                for (std::size_t j = 0; j < block.size(); j += GROUP) {
                    for (std::uint64_t held = test(filters_[d], block.subspan(j)); held; held &= held - 1) {
                        auto const q = static_cast<std::uint32_t>(j + static_cast<unsigned>(std::countr_zero(held)));
                        hits.push_back({q, static_cast<std::uint32_t>(d), 0});
                        ++ends[q];
                    }
                }
            }
            collect(hits, ends, answers, false);
        }
    }

    void sequences(Sequences const& queries, double theta, Answers& answers) const {
        std::vector<std::uint64_t> kmers;  // of a block of queries, one after the other
        std::vector<std::size_t> first;    // where those of each query begin
        std::vector<std::uint32_t> ends;
        std::vector<Hit> hits;
        Distinct distinct;
        for (std::size_t q = 0; q < queries.size();) {
            kmers.clear();
            first.assign(1, 0);
            for (; q < queries.size() && kmers.size() < BLOCK; ++q) {
                auto const own = distinct.of(queries[q]);
                kmers.insert(kmers.end(), own.begin(), own.end());
                first.push_back(kmers.size());
            }
            hits.clear();
            ends.assign(first.size() - 1, 0);
            for (std::size_t d = 0; d < filters_.size(); ++d) {
                for (std::size_t i = 0; i < ends.size(); ++i) {
                    std::span const own(kmers.data() + first[i], kmers.data() + first[i + 1]);
                    if (std::uint64_t const n = count(filters_[d], own, need(theta, own.size()))) {
                        hits.push_back({static_cast<std::uint32_t>(i), static_cast<std::uint32_t>(d),
                                        static_cast<std::uint32_t>(n)});
                        ++ends[i];
                    }
                }
            }
            collect(hits, ends, answers, true);
        }
    }

private:
    struct Hit {
        std::uint32_t query, document, count;
    };

    /// Items that meet a filter before the next filter comes: few enough to stay in the second-level cache, and many
    /// enough that the way of a filter from memory does not matter.
    static constexpr std::size_t BLOCK = 1 << 14;
    /// Items that are looked up together, a bit of a word each.
    static constexpr std::size_t GROUP = 64;
    /// Words that are on their way from memory at once.
    static constexpr std::size_t AHEAD = 32;
    /// Bits of a filter that the caches near the core hold, where prefetching would only be work.
    static constexpr std::uint64_t NEAR = 8 * (256 << 10);

    /// Which of up to 64 items a filter holds. The first hash function sieves all, each further one what is left.
    /// What a bit is decides neither a branch nor an address, so that lookups need not wait for each other. Items
    /// behind those are asked for from memory.
    std::uint64_t test(Bloom const filter, std::span<std::uint64_t const> items) const {
        std::size_t const n = std::min(GROUP, items.size());
        std::uint64_t held = 0;
        if (filter.bits <= NEAR) {
            for (std::size_t j = 0; j < n; ++j) held |= std::uint64_t{filter.test(items[j], 0)} << j;
        } else {
            for (std::size_t j = 0; j < n; ++j) {
                filter.prefetch(items[std::min(j + AHEAD, items.size() - 1)], 0);
                held |= std::uint64_t{filter.test(items[j], 0)} << j;
            }
        }
        for (unsigned i = 1; i < hashes_; ++i) {
            std::uint64_t left = std::exchange(held, 0);
            for (; left; left &= left - 1) {
                int const j = std::countr_zero(left);
                held |= std::uint64_t{filter.test(items[static_cast<std::size_t>(j)], i)} << j;
            }
        }
        return held;
    }

    /// How many items a filter holds, or 0 where those are fewer than `least`; told as soon as it is sure.
    std::uint64_t count(Bloom const& filter, std::span<std::uint64_t const> items, std::uint64_t least) const {
        std::uint64_t found = 0;
        while (found + items.size() >= least && !items.empty()) {
            found += static_cast<std::uint64_t>(std::popcount(test(filter, items)));
            items = items.subspan(std::min(GROUP, items.size()));
        }
        return found >= least ? found : 0;
    }

    /// Sorts the hits of a block by query; they came by document, which stays the order within a query. `ends` has how
    /// many each query has.
    static void collect(std::vector<Hit> const& hits, std::vector<std::uint32_t>& ends, Answers& answers, bool counts) {
        std::uint32_t* const ids = answers.ids.room(hits.size());
        std::uint32_t* const found = counts ? answers.counts.room(hits.size()) : nullptr;
        std::uint32_t at = 0;
        for (std::uint32_t& end : ends) {
            at += std::exchange(end, at);  // for now where the query's hits begin
            answers.starts.push_back(static_cast<std::int64_t>(answers.ids.size()) + at);
        }
        for (Hit const& hit : hits) {
            std::uint32_t const slot = ends[hit.query]++;
            ids[slot] = hit.document;
            if (counts) found[slot] = hit.count;
        }
        answers.ids.advance(hits.size());
        if (counts) answers.counts.advance(hits.size());
    }

    unsigned hashes_;
    std::vector<Bloom> filters_;
    std::vector<std::uint64_t> words_;
};

// --------------------------------------------------------------------------------------------------- command line

struct Options {
    std::string peer, folder, out, answers;
    Sizing sizing;
    double theta = 0;
    unsigned rounds = 3;
    std::vector<std::string> singles, sequences;
};

std::vector<std::string> split(std::string const& list) {
    std::vector<std::string> names;
    std::istringstream stream(list);
    for (std::string name; std::getline(stream, name, ',');)
        if (!name.empty()) names.push_back(name);
    return names;
}

double number(std::string const& option, std::string const& text, double above, double most) {
    char* end = nullptr;
    double const value = std::strtod(text.c_str(), &end);
    if (text.empty() || *end || !(value > above) || !(value <= most))
        throw std::runtime_error(option + ": " + text + " is not possible");
    return value;
}

Options parse(int argc, char** argv) {
    if (argc < 3) throw std::runtime_error("usage: peers ibf|bank FOLDER --hashes H --fpr F --theta T --out FILE ...");
    Options o;
    o.peer = argv[1];
    o.folder = argv[2];
    constexpr double large = 1e18;
    for (int i = 3; i < argc; i += 2) {
        std::string const option = argv[i];
        if (i + 1 == argc) throw std::runtime_error(option + ": a value is needed");
        std::string const value = argv[i + 1];
        if (option == "--hashes") o.sizing.hashes = static_cast<unsigned>(number(option, value, 0.5, 64));
        else if (option == "--fpr") o.sizing.fpr = number(option, value, 0, 0.999);
        else if (option == "--bits-per-item") o.sizing.bits_per_item = number(option, value, 0, large);
        else if (option == "--bytes") o.sizing.bytes = number(option, value, 0, large);
        else if (option == "--theta") o.theta = number(option, value, 0, 1);
        else if (option == "--singles") o.singles = split(value);
        else if (option == "--sequences") o.sequences = split(value);
        else if (option == "--rounds") o.rounds = static_cast<unsigned>(number(option, value, 0.5, 1e6));
        else if (option == "--out") o.out = value;
        else if (option == "--answers") o.answers = value;
        else throw std::runtime_error(option + ": no such option");
    }
    if (o.sizing.hashes == 0) throw std::runtime_error("--hashes is needed");
    if (o.sizing.fpr.has_value() + o.sizing.bits_per_item.has_value() + o.sizing.bytes.has_value() != 1)
        throw std::runtime_error("one of --fpr, --bits-per-item and --bytes is needed");
    if (!o.sequences.empty() && o.theta == 0) throw std::runtime_error("--theta is needed");
    if (o.out.empty()) throw std::runtime_error("--out is needed");
    return o;
}

template <typename Work>
double seconds(Work&& work) {
    auto const begin = std::chrono::steady_clock::now();
    work();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

/// Rounds of one workload; its part of the result.
template <typename Work>
std::string measure(std::string const& name, std::size_t queries, Options const& o, Answers& answers, Work&& work) {
    std::ostringstream json;
    json.precision(9);
    json << '"' << name << "\": {\"queries\": " << queries << ", \"seconds\": [";
    for (unsigned round = 0; round < o.rounds; ++round) {
        answers.clear();
        json << (round ? ", " : "") << seconds(work);
    }
    json << "], \"hits\": " << answers.ids.size() << '}';
    if (!o.answers.empty()) {
        std::string const stem = o.answers + '/' + name;
        write_file(stem + ".starts", answers.starts.data(), answers.starts.size());
        write_file(stem + ".ids", answers.ids.data(), answers.ids.size());
        if (answers.counts.size()) write_file(stem + ".counts", answers.counts.data(), answers.counts.size());
    }
    return json.str();
}

template <typename Peer>
void race(Options const& o) {
    Sequences const documents(o.folder + "/documents");
    if (documents.size() == 0) throw std::runtime_error(o.folder + "/documents.ends: no documents");
    Census census;
    {
        // Sizes are told to a peer, not found by it: this is no part of its build.
        Distinct distinct;
        for (std::size_t d = 0; d < documents.size(); ++d) {
            census.each.push_back(distinct.of(documents[d]).size());
            census.total += census.each.back();
            census.largest = std::max(census.largest, census.each.back());
        }
    }
    std::optional<Peer> peer;
    double const build = seconds([&] { peer.emplace(documents, o.sizing, census); });

    std::ostringstream json;
    json.precision(9);
    json << "{\"peer\": \"" << o.peer << "\", \"documents\": " << documents.size()
         << ", \"hashes\": " << o.sizing.hashes << ", \"bytes\": " << peer->bytes()
         << ", \"build_seconds\": " << build << ", \"kmers\": " << census.total
         << ", \"workloads\": {";
    char const* comma = "";
    for (std::string const& name : o.singles) {
        auto const queries = read_file<std::vector<std::uint64_t>>(o.folder + '/' + name + ".u64");
        Answers answers;
        json << std::exchange(comma, ", ")
             << measure(name, queries.size(), o, answers, [&] { peer->singles(queries, answers); });
    }
    for (std::string const& name : o.sequences) {
        Sequences const queries(o.folder + '/' + name);
        Answers answers;
        json << std::exchange(comma, ", ")
             << measure(name, queries.size(), o, answers, [&] { peer->sequences(queries, o.theta, answers); });
    }
    json << "}}\n";
    std::string const text = json.str();
    write_file(o.out, text.data(), text.size());
}

/// Has glibc ask for huge pages, without which large filters spend their time on page tables. It decides that when a
/// process starts, so the process starts once more.
void ask_for_huge_pages(char** argv) {
    if (std::getenv("GLIBC_TUNABLES")) return;
    setenv("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1", 1);
    execv("/proc/self/exe", argv);  // returns only when it failed, which only costs speed
}

}  // namespace

int main(int argc, char** argv) {
    ask_for_huge_pages(argv);
    try {
        Options const options = parse(argc, argv);
        if (options.peer == "bank") {
            race<Bank>(options);
        } else if (options.peer == "ibf") {
#ifdef WITH_SEQAN3
            race<Ibf>(options);
#else
            std::cerr << "peers: ibf was not built: no SeqAn3\n";
            return 3;
#endif
        } else {
            throw std::runtime_error(options.peer + ": no such peer; there are ibf and bank");
        }
    } catch (std::exception const& error) {
        std::cerr << "peers: " << error.what() << '\n';
        return 2;
    }
    return 0;
}
