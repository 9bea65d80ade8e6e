"""
Draws the pictures of docs/questions.md from the dbt models' tables.

`make pictures` writes them: it loads the sandbox's account, builds the models of examples/dbt, and draws.
"""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import Any, NamedTuple

COLOURS = ("#2563a8", "#d9822b", "#3f8f5f", "#b0413e", "#7a5ba6", "#6b7280")
LEFT, WIDTH, ROW = 250, 360, 26
NAMES = "(select distinct account_id, account_name from analytics.account_overview) as names"


class Picture(NamedTuple):
    """
    One picture. Its SQL returns a row a part: label of the bar, name of the part, its value, note of the bar.

    `parts` has the order of the parts in the legend, if it is not that of the rows.
    """

    title: str
    sql: str
    parts: tuple[str, ...] = ()


PICTURES = {
    "delivery-failures": Picture(
        "Failures of 100 messages, by country and error code",
        """
        select country, cast(error_code as text),
            100.0 * sum(failures) / (
                select sum(messages_to_country) from (
                    select distinct account_sid, country, messages_to_country from analytics.delivery_failures
                ) as sent
                where sent.country = failures.country
            ),
            (select sum(failures) || ' failures, USD ' || sum(spent_on_failures)
             from analytics.delivery_failures as all_codes where all_codes.country = failures.country)
        from analytics.delivery_failures as failures
        group by 1, 2 order by 1, 2
        """,
    ),
    "spend-by-product": Picture(
        "USD spent in 21 days by usage records, and what the rows do not explain",
        f"""
        with spend as (
            select account_sid, case when product = 'total' then 'without rows' else product end as part,
                sum(usage_spend) as spend, sum(difference) as difference
            from analytics.spend_by_product group by 1, 2
        )
        select account_name, part,
            case part
                when 'without rows' then 2 * spend - sum(spend) over (partition by account_sid) else spend
            end,
            sum(case part when 'without rows' then spend end) over (partition by account_sid)
            || ', rows lack ' || sum(difference) over (partition by account_sid)
        from spend
        join {NAMES} on account_id = account_sid
        order by 1, case part when 'calls' then 1 when 'messages' then 2 when 'without rows' then 4 else 3 end, 2
        """,
    ),
    "a2p-campaigns": Picture(
        "Messages to the US, by messaging service and campaign status",
        f"""
        select account_name || ': ' || service_name, part, value, campaign_status || ', USD ' || spent_on_a2p_failures
        from analytics.a2p_campaigns
        join {NAMES} on account_id = account_sid
        cross join lateral (values
            (1, 'not failed', us_messages - failures),
            (2, 'other failures', failures - a2p_failures),
            (3, 'A2P failures', a2p_failures)
        ) as parts (place, part, value)
        order by 1, place
        """,
    ),
    "number-usage": Picture(
        "Days since a message or a call last used each number",
        f"""
        select account_name || ': ' || friendly_name, case when is_unused then 'unused' else 'used' end, days_unused,
            days_unused || case when last_used_at is null then ', never used' else '' end
        from analytics.number_usage
        join {NAMES} on account_id = account_sid
        order by days_unused desc, 1
        """,
    ),
    "messages-after-stop": Picture(
        "Messages to people who said STOP",
        f"""
        select outcome, account_name, count(*), cast(sum(count(*)) over (partition by outcome) as text)
        from analytics.messages_after_stop
        join {NAMES} on account_id = account_sid
        group by 1, 2 order by 1, 2
        """,
    ),
    "call-quality": Picture(
        "Rated calls, by region and score",
        """
        select region, 'score ' || quality_score, sum(calls),
            'average ' || (select round(1.0 * sum(calls * quality_score) / sum(calls), 1)
                           from analytics.call_quality as rated where rated.region = quality.region)
        from analytics.call_quality as quality
        group by 1, quality_score order by region = 'unknown', 1, quality_score
        """,
        tuple(f"score {score}" for score in range(1, 6)),
    ),
    "time-to-delivery": Picture(
        "Of 100 delivered messages of Owl Dental, how many arrived within a minute",
        f"""
        select country, 'within a minute', 100 * within_a_minute,
            round(100 * within_a_minute) || '; median ' || median_seconds || ' s, 95 of 100 in '
            || round(p95_seconds / 60.0) || ' min'
        from analytics.time_to_delivery
        join {NAMES} on account_id = account_sid
        where account_name = 'Owl Dental' order by 1
        """,
    ),
    "conference-minutes": Picture(
        "Minutes of all who took part in conferences, by week",
        f"""
        with weeks as (
            select cast(date_trunc('week', date_day) as date) as week, account_sid, participant_minutes as minutes,
                sum(conferences - conferences_without_summary)
                    over (partition by date_trunc('week', date_day)) as conferences
            from analytics.conference_minutes
        )
        select cast(week as text), account_name, sum(minutes),
            round(sum(sum(minutes)) over (partition by week)) || ' in ' || conferences || ' conferences'
        from weeks
        join {NAMES} on account_id = account_sid
        where conferences > 0
        group by week, account_name, conferences order by 1, 2
        """,
    ),
}


def draw(picture: Picture, query: Callable[[str], list[dict[str, Any]]]) -> str:
    """Return the SVG of a picture: a bar for each label, in the parts that the query returns."""
    bars: dict[str, list[tuple[str, float]]] = {}
    notes: dict[str, str] = {}
    for label, part, value, note in (
        tuple(row.values()) for row in query(f"select * from ({picture.sql}) as p (a, b, c, d)")
    ):
        bars.setdefault(str(label), []).append((str(part), float(value)))
        notes[str(label)] = str(note)
    parts = list(dict.fromkeys([*picture.parts, *(part for bar in bars.values() for part, _ in bar)]))
    colours = {part: COLOURS[at % len(COLOURS)] for at, part in enumerate(parts)}
    scale = WIDTH / max(sum(value for _, value in bar) for bar in bars.values())
    height = 76 + ROW * len(bars)
    lines = [
        f'<rect width="860" height="{height}" fill="#fff"/>',
        f'<text x="16" y="26" font-size="16">{escape(picture.title)}</text>',
    ]
    x = 16.0
    for part in parts:
        lines.append(f'<rect x="{x:.0f}" y="40" width="12" height="12" fill="{colours[part]}"/>')
        lines.append(f'<text x="{x + 17:.0f}" y="51">{escape(part)}</text>')
        x += 34 + 7.2 * len(part)
    for at, (label, bar) in enumerate(bars.items()):
        y, x = 66 + ROW * at, float(LEFT)
        lines.append(f'<text x="{LEFT - 8}" y="{y + 14}" text-anchor="end">{escape(label)}</text>')
        for part, value in bar:
            width = value * scale
            lines.append(f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="18" fill="{colours[part]}"/>')
            x += width
        lines.append(f'<text x="{x + 8:.1f}" y="{y + 14}" fill="#555">{escape(notes[label])}</text>')
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 860 {height}" font-family="sans-serif" font-size="13">'
    )
    return "\n".join([head, *lines, "</svg>", ""])
