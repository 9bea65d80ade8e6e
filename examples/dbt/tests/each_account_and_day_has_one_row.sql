select account_id, date_day
from {{ ref('account_overview') }}
group by 1, 2
having count(*) > 1
