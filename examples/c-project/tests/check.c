/* Tests of the library; the report is JUnit XML, in the file that is named. */
#include "tally.h"

#include <stdio.h>
#include <string.h>

static FILE *report;
static int failures;

/* Tells of the first check of a test that does not hold; the others are silent then. */
static int is_told;

#define CHECK(condition)                                                                                    \
    do {                                                                                                    \
        if (!(condition) && !is_told) {                                                                     \
            is_told = 1;                                                                                    \
            failures++;                                                                                     \
            fprintf(report, "<failure message=\"a check does not hold\">%s:%d: <![CDATA[%s]]></failure>",       \
                    __FILE__, __LINE__, #condition);                                                        \
        }                                                                                                   \
    } while (0)

static void run(const char *name, void (*test)(void))
{
    is_told = 0;
    fprintf(report, "<testcase classname=\"tally\" name=\"%s\" time=\"0\">", name);
    test();
    fprintf(report, "</testcase>\n");
}

static void counts_words(void)
{
    struct tally tally = {0};
    const char *words[] = {"to", "be", "or", "not", "to", "be"};
    for (size_t i = 0; i < 6; i++)
        CHECK(tally_add(&tally, words[i], strlen(words[i])));
    CHECK(tally_of(&tally, "to", 2) == 2);
    CHECK(tally_of(&tally, "or", 2) == 1);
    CHECK(tally_of(&tally, "that", 4) == 0);
    tally_sort(&tally);
    CHECK(strcmp(tally.entries[0].word, "be") == 0);
    tally_free(&tally);
}

static void grows(void)
{
    struct tally tally = {0};
    char word[16];
    for (int i = 0; i < 5000; i++)
        CHECK(tally_add(&tally, word, (size_t)sprintf(word, "w%d", i % 1000)));
    CHECK(tally.used == 1000);
    CHECK(tally_of(&tally, "w999", 4) == 5);
    tally_free(&tally);
}

static void finds_words(void)
{
    const char *text = " f\xc3\xbcnf, 2 \xff!";
    size_t at = 0, size, length = strlen(text);
    CHECK(strncmp(utf8_next_word(text, length, &at, &size), "f\xc3\xbcnf", 5) == 0 && size == 5);
    CHECK(*utf8_next_word(text, length, &at, &size) == '2');
    CHECK(*utf8_next_word(text, length, &at, &size) == '\xff' && size == 1);
    CHECK(!utf8_next_word(text, length, &at, &size));
}

int main(int count, char **arguments)
{
    report = fopen(count > 1 ? arguments[1] : "tests.xml", "w");
    if (!report)
        return 2;
    fprintf(report, "<testsuite name=\"words\">\n");
    run("counts words", counts_words);
    run("grows", grows);
    run("finds words", finds_words);
    fprintf(report, "</testsuite>\n");
    fclose(report);
    printf("%d of 3 tests failed\n", failures);
    return failures > 0;
}
